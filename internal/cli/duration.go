package cli

import (
	"errors"
	"time"

	"github.com/hubward/hubward"
)

// durationFlag is a positive duration as serve takes it: 90m, 36h or 7d.
type durationFlag time.Duration

// String, Set and Type make it a flag value.
func (d *durationFlag) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

// Set reads the flag.
func (d *durationFlag) Set(text string) error {
	parsed, err := hubward.ParseDuration(text)
	if err != nil {
		return errors.New("it is a duration such as 90m, 36h or 7d")
	}
	if parsed <= 0 {
		return errors.New("it is not positive")
	}
	*d = durationFlag(parsed)
	return nil
}

// Type names the value in help texts.
func (d *durationFlag) Type() string { return "duration" }
