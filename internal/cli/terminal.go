package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// isTerminal reports whether w shows on a terminal. The null device, a character device too, is none.
func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Interactive reports whether somebody sits at a terminal: whether in is one, and out, where questions go.
func Interactive(in, out *os.File) bool { return isTerminal(in) && isTerminal(out) }

// confirmation is the flag --yes of a command that destroys more than what its arguments name.
type confirmation struct{ yes bool }

func (c *confirmation) add(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&c.yes, "yes", "y", false, "do it without a question, as scripts need it")
}

// ask returns nil if what is to be done, which cannot be undone, is really meant: --yes says so, or somebody at a
// terminal, who types name. Without both it is a usage error.
func (c *confirmation) ask(env Env, cmd *cobra.Command, what, name string) error {
	if c.yes {
		return nil
	}
	if !env.Interactive {
		return usagef(cmd, "this %s, which cannot be undone, and there is no terminal to ask at: say --yes if it is meant", what)
	}
	fmt.Fprintf(env.Stderr, "This %s. It cannot be undone.\nType %s to go on: ", what, name)
	answer, err := readLine(cmd.Context().Done(), env.Stdin)
	if err != nil {
		return fmt.Errorf("nothing was deleted: %w", err)
	}
	if answer != name {
		return errors.New("nothing was deleted: the answer was another name")
	}
	return nil
}

// readLine returns what somebody types. The end of done ends the wait, and leaves the reader behind: a read of a terminal
// cannot be called off, and the program is about to end.
func readLine(done <-chan struct{}, in io.Reader) (string, error) {
	type line struct {
		text string
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(io.LimitReader(in, maxAnswer)).ReadString('\n')
		if text != "" {
			err = nil
		}
		typed <- line{strings.TrimSpace(text), err}
	}()
	select {
	case l := <-typed:
		if errors.Is(l.err, io.EOF) {
			return "", errors.New("there was no answer")
		}
		return l.text, l.err
	case <-done:
		return "", errInterrupted
	}
}

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 1 << 10
