// Package cli is the hubward command. There is one file per command; each has a newXxxCommand that root.go lists.
// Apart from serve, quickstart, bench, backup, restore and check, commands are plain users of the public SDKs.
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
	Stdin          io.Reader // nil: there is nothing to read
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// Interactive says that somebody sits at a terminal, who can be asked on Stderr and answers on Stdin.
	Interactive bool
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
	if env.Stdin == nil {
		env.Stdin = strings.NewReader("")
	}
	root := newRootCommand(env)
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return statusDone
	}
	print := printError
	if logsJSON(env, cmd, args, err) {
		print = logError
	}
	var usage *usageError
	if !errors.As(err, &usage) {
		print(env, oneLine(explain(ctx, err)), "")
		return statusFailed
	}
	if usage.cmd != nil {
		cmd = usage.cmd
	}
	print(env, oneLine(err.Error()), cmd.UseLine())
	return statusUsage
}

// printError tells people of the error that ends a command; usage is that of the command, for a usage error.
func printError(env Env, text, usage string) {
	fmt.Fprintf(env.Stderr, "hubward: %s\n", text)
	if usage != "" {
		fmt.Fprintf(env.Stderr, "usage: %s\n", usage)
	}
}

func oneLine(text string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "\n", "; ")), " ")
}

func newRootCommand(env Env) *cobra.Command {
	root := &cobra.Command{
		Use:               "hubward",
		Short:             "An IoT hub that anyone can run",
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              noSuchCommand,
		RunE:              showHelp,
		PersistentPreRunE: refuseEmpty,
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(commands(env)...)
	root.SetHelpCommand(newHelpCommand())
	for _, cmd := range root.Commands() {
		wrapArgs(cmd)
		addCompletions(env, cmd)
	}
	return root
}

// newGroup makes a command that only groups others: without one of them it shows its help.
func newGroup(name, short, long string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Long: long, Args: noSuchCommand, RunE: showHelp}
}

// showHelp is what a command does that only groups others.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }
