// Package cli is the hubward command. There is one file per command; each has a newXxxCommand that root.go lists.
// Apart from serve, quickstart and bench, commands are plain users of the public SDKs.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Env is what a command sees of the outside world, so that tests can run commands in-process.
type Env struct {
	Stdout, Stderr io.Writer
	Getenv         func(string) string
}

// Exit statuses, which scripts rely on.
const (
	statusDone   = 0
	statusFailed = 1
	statusUsage  = 2
)

// usageError is an error of the command line itself: an unknown flag, a missing argument, a bad flag value.
type usageError struct {
	err error
	cmd *cobra.Command
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef makes an error for a bad argument or flag value: exit status 2, with cmd's usage line.
func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), cmd: cmd}
}

// Main runs one command line and returns the exit status: 0 done, 1 failed, 2 wrong usage. Errors are printed as one
// line on env.Stderr; a usage error is followed by the usage line of its command. ctx ends the command (Ctrl-C).
func Main(ctx context.Context, env Env, args []string) int {
	root := newRootCommand(env)
	root.SetArgs(args)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return statusDone
	}
	fmt.Fprintf(env.Stderr, "hubward: %s\n", oneLine(err))
	var usage *usageError
	if errors.As(err, &usage) {
		if usage.cmd != nil {
			cmd = usage.cmd
		}
		fmt.Fprintf(env.Stderr, "usage: %s\n", cmd.UseLine())
		return statusUsage
	}
	return statusFailed
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "\n", "; ")), " ")
}

func newRootCommand(env Env) *cobra.Command {
	root := &cobra.Command{
		Use:           "hubward",
		Short:         "An IoT hub that anyone can run",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef(cmd, "there is no command %q; see hubward help", args[0])
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{err: err, cmd: cmd} })
	root.AddCommand(commands(env)...)
	for _, cmd := range root.Commands() {
		wrapArgs(cmd)
	}
	return root
}

// wrapArgs turns cobra's complaints about positional arguments into usage errors, for cmd and all below it.
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &usageError{err: err, cmd: cmd}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		wrapArgs(sub)
	}
}
