package config

import (
	"errors"
	"fmt"
	"strings"
)

// Source is where a configuration comes from.
type Source struct {
	// File is the TOML file; empty means that of HUBWARD_CONFIG, and none when that is empty too.
	File string
	// Getenv looks up environment variables; nil means there are none. An empty variable counts as not set.
	Getenv func(string) string
	// Flags are the values that the command line gave, by flag name without dashes. A flag that was not given is absent.
	Flags map[string][]string
}

// Load merges the sources over Default and validates the outcome. Its error joins everything that is wrong, one line
// each, and every line names an option or a place in the file. Source.Flags with a name that is no option's are
// ignored: a command may have flags of its own.
func Load(s Source) (Config, error) {
	c := Default()
	var errs []error
	if s.Getenv == nil {
		s.Getenv = func(string) string { return "" }
	}
	if s.File == "" {
		s.File = s.Getenv("HUBWARD_CONFIG")
	}
	if s.File != "" {
		values, err := readFile(s.File)
		errs = append(errs, err, c.apply(values))
	}
	errs = append(errs, c.apply(environment(s.Getenv)), c.apply(flags(s.Flags)), c.Validate())
	return c, errors.Join(errs...)
}

// apply sets the options that values has, by path. An option that cannot be set keeps its value.
func (c *Config) apply(values map[string][]string) error {
	var errs []error
	for _, o := range options {
		v, ok := values[o.Path]
		if !ok {
			continue
		}
		c.given = append(c.given, o.Path)
		if len(v) != 1 && !o.Repeatable {
			errs = append(errs, fmt.Errorf("%s: takes one value, not %d", o.Path, len(v)))
			continue
		}
		if err := o.set(c, v); err != nil {
			errs = append(errs, fmt.Errorf("%s: %.80q: %w", o.Path, strings.Join(v, ","), err))
		}
	}
	return errors.Join(errs...)
}

func environment(getenv func(string) string) map[string][]string {
	values := map[string][]string{}
	for _, o := range options {
		if v := getenv(o.Env()); v != "" {
			values[o.Path] = []string{v}
		}
	}
	return values
}

func flags(given map[string][]string) map[string][]string {
	values := map[string][]string{}
	for _, o := range options {
		if v, ok := given[o.Flag]; ok {
			values[o.Path] = v
		}
	}
	return values
}
