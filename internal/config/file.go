package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/hubward/hubward/internal/utf8text"
)

// maxFileSize bounds a configuration file, in bytes: a wrong path may name anything.
const maxFileSize = 1 << 20

// shape is what the file may hold. It exists for its keys alone, which the strict decoder compares with the file's:
// values are read by path. A test compares it with the table of options.
type shape struct {
	Data       any `toml:"data"`
	HostNames  any `toml:"hostname"`
	Hub        any `toml:"hub"`
	Partitions any `toml:"partitions"`
	Retention  any `toml:"retention"`
	Listen     struct {
		MQTTS          any `toml:"mqtts"`
		AMQPS          any `toml:"amqps"`
		HTTPS          any `toml:"https"`
		AMQP           any `toml:"amqp"`
		Admin          any `toml:"admin"`
		MaxConnections any `toml:"max-connections"`
		MaxMQTT        any `toml:"max-mqtt-connections"`
		MaxAMQP        any `toml:"max-amqp-connections"`
		MaxHTTPS       any `toml:"max-https-connections"`
		MaxPerAddress  any `toml:"max-connections-per-address"`
		MaxPerHub      any `toml:"max-connected-per-hub"`
	} `toml:"listen"`
	TLS struct {
		Certificate any `toml:"certificate"`
		Key         any `toml:"key"`
		CA          any `toml:"ca"`
		KeyType     any `toml:"key-type"`
	} `toml:"tls"`
	Revoked any `toml:"revoked"`
	Log     struct {
		Level     any `toml:"level"`
		Format    any `toml:"format"`
		AMQPTrace any `toml:"amqp-trace"`
	} `toml:"log"`
}

// readFile returns the values of a configuration file by path. With an error it returns those that it could read.
func readFile(name string) (map[string][]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	doc, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if len(doc) > maxFileSize {
		return nil, fmt.Errorf("config: %s is larger than %d bytes", name, maxFileSize)
	}
	return parse(name, doc)
}

func parse(name string, doc []byte) (map[string][]string, error) {
	doc, err := utf8text.Check(doc)
	if err != nil {
		return nil, fmt.Errorf("config: %s: %w", name, err)
	}
	strict := toml.NewDecoder(bytes.NewReader(doc)).DisallowUnknownFields()
	err = strict.Decode(&shape{})
	var unknown *toml.StrictMissingError
	if err != nil && !errors.As(err, &unknown) {
		return nil, atLine(name, err)
	}
	var errs []error
	if unknown != nil {
		for i := range unknown.Errors {
			row, _ := unknown.Errors[i].Position()
			errs = append(errs, fmt.Errorf("%s:%d: unknown key %q", name, row, strings.Join(unknown.Errors[i].Key(), ".")))
		}
	}
	var tree map[string]any
	if err := toml.Unmarshal(doc, &tree); err != nil {
		return nil, errors.Join(append(errs, atLine(name, err))...)
	}
	values := map[string][]string{}
	for _, o := range options {
		v, ok := lookUp(tree, o.Path)
		if !ok {
			continue
		}
		s, err := scalars(v)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", name, o.Path, err))
			continue
		}
		values[o.Path] = s
	}
	return values, errors.Join(errs...)
}

// atLine puts file and line in front of the decoder's complaint.
func atLine(name string, err error) error {
	var bad *toml.DecodeError
	if !errors.As(err, &bad) {
		return fmt.Errorf("%s: %w", name, err)
	}
	row, _ := bad.Position()
	text := strings.TrimPrefix(bad.Error(), "toml: ")
	if key := strings.Join(bad.Key(), "."); key != "" {
		return fmt.Errorf("%s:%d: %s: %s", name, row, key, text)
	}
	return fmt.Errorf("%s:%d: %s", name, row, text)
}

func lookUp(tree map[string]any, path string) (any, bool) {
	table, key, nested := strings.Cut(path, ".")
	v, ok := tree[table]
	if !nested || !ok {
		return v, ok
	}
	inner, _ := v.(map[string]any)
	v, ok = inner[key]
	return v, ok
}

// scalars turns a value of the file into what the command line would have given.
func scalars(v any) ([]string, error) {
	switch v := v.(type) {
	case string:
		return []string{v}, nil
	case int64:
		return []string{strconv.FormatInt(v, 10)}, nil
	case []any:
		out := make([]string, len(v))
		for i, item := range v {
			s, ok := item.(string)
			if !ok {
				return nil, errors.New("a list holds texts only")
			}
			out[i] = s
		}
		return out, nil
	}
	return nil, errors.New("wants a text, a whole number or a list of texts")
}
