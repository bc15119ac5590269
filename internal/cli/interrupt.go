package cli

import (
	"context"
	"errors"
	"fmt"
)

// errInterrupted is what a command returns whose work Ctrl-C has cut short.
var errInterrupted = errors.New("interrupted")

// cutShort is the outcome of a command that was to do a number of things and was interrupted after done of them: nil when
// there was no such number (0) or all are done, since then Ctrl-C is how it ends.
func cutShort(done, count int, what string) error {
	if count == 0 || done >= count {
		return nil
	}
	return fmt.Errorf("%w after %d of %d %s", errInterrupted, done, count, what)
}

// sayInterrupted replaces the error of a call that Ctrl-C has cut short.
func sayInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return errInterrupted
	}
	return err
}
