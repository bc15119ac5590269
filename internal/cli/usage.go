package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newHelpCommand is help COMMAND, which differs from cobra's in that it fails for what is no command.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]...",
		Short: "Show the help page of a command",
		Args:  cobra.ArbitraryArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			about := cmd.Root()
			for _, name := range args {
				next := subcommand(about, name)
				if next == nil {
					return unknownCommand(about, name)
				}
				about = next
			}
			about.InitDefaultHelpFlag() // as --help would
			return about.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			about := cmd.Root()
			for _, name := range args {
				if about = subcommand(about, name); about == nil {
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
			}
			return subcommands(about), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

func subcommand(cmd *cobra.Command, name string) *cobra.Command {
	i := slices.IndexFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
	if i < 0 {
		return nil
	}
	return cmd.Commands()[i]
}

// subcommands are the names of what stands below cmd.
func subcommands(cmd *cobra.Command) []string {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// noSuchCommand checks the arguments of a command that only groups others.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return unknownCommand(cmd, args[0])
}

func unknownCommand(cmd *cobra.Command, name string) error {
	page := strings.TrimSpace("hubward help " + strings.TrimPrefix(cmd.CommandPath(), "hubward"))
	where := ""
	if cmd.HasParent() {
		where = " below " + cmd.CommandPath()
	}
	guess := ""
	if near := nearest(name, subcommands(cmd)); near != "" {
		guess = fmt.Sprintf("; did you mean %q?", near)
	}
	return usagef(cmd, "there is no command %q%s%s See %s", name, where, cmp.Or(guess, "."), strings.Join(strings.Fields(page), " "))
}

// renamedFlags are names that flags had, or that users of other tools look for.
var renamedFlags = map[string]string{"right": "permissions", "rights": "permissions"}

// flagError says what is wrong with a flag, and for an unknown one which was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "" {
		err = fmt.Errorf("%w%s", err, suggestFlag(cmd, unknown.GetSpecifiedName()))
	}
	return &usageError{err: err, cmd: cmd}
}

func suggestFlag(cmd *cobra.Command, name string) string {
	var own, all []string
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			own = append(own, f.Name)
		}
	})
	cmd.Flags().VisitAll(func(f *pflag.Flag) { all = append(all, f.Name) })
	if now := renamedFlags[name]; slices.Contains(all, now) {
		return "; it is called --" + now
	}
	if near := nearest(name, all); near != "" {
		return "; did you mean --" + near + "?"
	}
	if len(own) == 0 || len(own) > maxListed {
		return "; see " + cmd.CommandPath() + " --help"
	}
	return fmt.Sprintf("; %s has --%s; see its --help", cmd.CommandPath(), strings.Join(own, ", --"))
}

// maxListed is how many flags an error lists.
const maxListed = 8

// nearest returns the name that text is probably meant to be, or "".
func nearest(text string, names []string) string {
	best, found := max(len(text)/3, 1)+1, ""
	for _, name := range names {
		d := distance(text, name)
		if len(text) > 2 && (strings.HasPrefix(name, text) || strings.HasPrefix(text, name)) {
			d = min(d, 1)
		}
		if d < best {
			best, found = d, name
		}
	}
	return found
}

// distance is the number of letters that have to be changed, put in, left out or swapped with their neighbour.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// wrapArgs turns cobra's complaints about positional arguments into usage errors that name them, for cmd and all below
// it.
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			var usage *usageError
			if err == nil || errors.As(err, &usage) {
				return err
			}
			return usagef(cmd, "%s", describeArgs(cmd, args, err))
		}
	}
	for _, sub := range cmd.Commands() {
		wrapArgs(sub)
	}
}

// describeArgs says what is wrong with args.
func describeArgs(cmd *cobra.Command, args []string, err error) string {
	names := positional(cmd)
	switch {
	case len(args) < len(names):
		return names[len(args)] + " is missing"
	case len(args) > len(names) && len(names) == 0:
		return fmt.Sprintf("%s takes no argument, and %q is one", cmd.CommandPath(), args[0])
	case len(args) > len(names):
		return fmt.Sprintf("%q is one argument too many; a value with blanks needs quotes", args[len(names)])
	}
	return err.Error()
}

// positional returns the names of a command's arguments, as its usage line has them, without brackets and dots.
func positional(cmd *cobra.Command) []string {
	var names []string
	for _, word := range strings.Fields(cmd.Use)[1:] {
		word = strings.Trim(word, "[]")
		if word == "" || strings.HasPrefix(word, "-") || word == "flags" {
			break
		}
		names = append(names, strings.TrimSuffix(word, "..."))
	}
	return names
}

// mayBeEmpty are the texts that mean something when they are empty.
var mayBeEmpty = []string{"status-reason", "body", "managed-by"}

// refuseEmpty refuses arguments and texts that were given and are empty. That is what a variable leaves that nobody has
// set, and to take the default instead would be another hub or device than was meant.
func refuseEmpty(cmd *cobra.Command, args []string) error {
	for i, arg := range args {
		if arg == "" && cmd.Name() != cobra.ShellCompRequestCmd && cmd.Name() != cobra.ShellCompNoDescRequestCmd {
			name := "an argument"
			if names := positional(cmd); len(names) > 0 {
				name = names[min(i, len(names)-1)]
			}
			return usagef(cmd, "%s is empty: is a variable not set?", name)
		}
	}
	var empty error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if isEmpty(f.Value) && !slices.Contains(mayBeEmpty, f.Name) && empty == nil {
			empty = usagef(cmd, "--%s is empty: leave it out, or is a variable not set?", f.Name)
		}
	})
	return empty
}

// isEmpty reports whether a text is empty, or one of a list of texts.
func isEmpty(v pflag.Value) bool {
	if list, ok := v.(pflag.SliceValue); ok && v.Type() == "stringArray" {
		return slices.Contains(list.GetSlice(), "")
	}
	return v.Type() == "string" && v.String() == ""
}
