package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
)

// outputFlag is -o: "table" for people, "json" for programs, one document per line.
type outputFlag struct{ json bool }

// addOutputFlag gives cmd and all below it -o.
func addOutputFlag(cmd *cobra.Command) *outputFlag {
	o := &outputFlag{}
	cmd.PersistentFlags().VarP(o, "output", "o", "`format`: table, or json with one document per line")
	return o
}

// String, Set and Type make it a flag value.
func (o *outputFlag) String() string {
	if o.json {
		return "json"
	}
	return "table"
}

// Set reads the flag.
func (o *outputFlag) Set(text string) error {
	if text != "json" && text != "table" {
		return fmt.Errorf("it is table or json")
	}
	o.json = text == "json"
	return nil
}

// Type names the value in help texts.
func (o *outputFlag) Type() string { return "format" }

// writeTable prints rows in columns.
func writeTable(w io.Writer, header []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = printable(cell)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// field is one line of writeFields.
type field struct{ name, value string }

// writeFields prints names and values, one pair per line. Fields without a value are left out.
func writeFields(w io.Writer, fields []field) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, f := range fields {
		if f.value != "" {
			fmt.Fprintf(t, "%s:\t%s\n", f.name, printable(f.value))
		}
	}
	return t.Flush()
}

// writeJSON prints v as one line.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escapeJSON(b.Bytes()))
	return err
}

// escapeJSON writes the control characters that JSON leaves as they are, and invisible ones that reorder text, as
// escapes: they can stand in strings only. A device must not command the terminal of who looks at its messages.
func escapeJSON(text []byte) []byte {
	if !bytes.ContainsFunc(text, func(r rune) bool { return r != '\n' && isHostile(r) }) {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		if r != '\n' && isHostile(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}

// isHostile reports whether a terminal may take r for more than a character: control characters and those that change
// the direction of text.
func isHostile(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// printable returns text with hostile characters as escapes.
func printable(text string) string {
	if !strings.ContainsFunc(text, isHostile) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case isHostile(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// printDeleted says what is no longer there: a line such as "deleted device d1", or {"deviceId":"d1","deleted":true}.
func printDeleted(env Env, out *outputFlag, kind, member, name string) error {
	if out.json {
		return writeJSON(env.Stdout, map[string]any{member: name, "deleted": true})
	}
	_, err := fmt.Fprintf(env.Stdout, "deleted %s %s\n", kind, printable(name))
	return err
}

// style colours text when a terminal shows it.
type style struct{ colours bool }

const (
	colourReset = "\x1b[0m"
	colourDim   = "\x1b[2m"
	colourName  = "\x1b[36m"
	colourBold  = "\x1b[1m"
)

// styleFor turns colours on for a terminal, unless NO_COLOR is set.
func styleFor(env Env) style {
	return style{colours: isTerminal(env.Stdout) && env.Getenv("NO_COLOR") == "" && env.Getenv("TERM") != "dumb"}
}

func (s style) paint(colour, text string) string {
	if !s.colours {
		return text
	}
	return colour + text + colourReset
}
