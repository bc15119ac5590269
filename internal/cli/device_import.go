package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/internal/utf8text"
	"github.com/hubward/hubward/service"
)

// maxImportLine bounds one identity of an import file, in bytes. A twin has some 100 KiB, and, of many small properties, up to ten times
// as much with what the hub says of when each was written.
const maxImportLine = 4 << 20

func (d *deviceCommands) importFile() *cobra.Command {
	mode, from := string(service.CreateOrUpdate), 1
	var rules importRules
	cmd := &cobra.Command{
		Use: "import FILE [--mode MODE] [--from-line N] [--without-twins]", Short: "Register the devices of a file",
		Long: "Register, change or delete the devices of a file of JSON lines, as device export and the cloud service's export\n" +
			"write them; - is standard input. What a row's importMode says is done; --mode is for the rows that have none, and\n" +
			"refuses those that say otherwise. A row without keys gets new ones, also of a device that has some.\n\n" +
			"Tags and desired properties of a row replace those of the twin, and merge into them if the mode is updateTwin; a\n" +
			"section that a row does not have stays as it is. Reported properties are the device's own, and left out: it reports\n" +
			"them when it connects.\n\n" +
			"Lines and rows that fail are listed, with their numbers; the others are done, and the exit status is 1. When the\n" +
			"hub cannot be reached any more, the error names the line from which to go on.",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			var ok bool
			if rules.mode, ok = parseMode(mode); !ok {
				return usagef(cmd, "--mode %q is none of %s", mode, modeNames())
			}
			if rules.modeGiven = cmd.Flags().Changed("mode"); from < 1 {
				return usagef(cmd, "--from-line %d is no line: the first one is 1", from)
			}
			in, name, size := cmd.InOrStdin(), "standard input", int64(0)
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer file.Close()
				if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
					size = info.Size()
				}
				in, name = file, args[0]
			}
			return d.withClient(func(c *service.Client) error {
				run := newImportRun(d.env, c, rules, in)
				run.from, run.size = from, size
				if err := run.all(cmd.Context()); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				return run.report(d)
			})
		},
	}
	cmd.Flags().StringVar(&mode, "mode", mode, modeNames())
	cmd.Flags().IntVar(&from, "from-line", from, "line to begin with, as an error has named it")
	cmd.Flags().BoolVar(&rules.withoutTwins, "without-twins", false, "leave out tags and desired properties")
	return cmd
}

// importParallel is how many bulk calls are on their way at once.
const importParallel = 8

// importRun reads rows and has them sent in bulk calls. It belongs to one goroutine; each call runs on one more, which tells
// its outcome to results.
type importRun struct {
	client   *service.Client
	rules    importRules
	lines    *lineReader
	from     int   // the first line that counts
	size     int64 // of the input, in bytes; 0: not known
	stderr   io.Writer
	progress *progress

	batches importBatches
	sent    []*importBatch // on their way
	results chan importResult

	done, failed, warned int
	unknown              map[string]bool // members that were told of

	err    error // why the import ends early
	goOnAt int   // the first line that is not known to be done, if it does
}

func newImportRun(env Env, c *service.Client, rules importRules, in io.Reader) *importRun {
	return &importRun{
		client: c, rules: rules, lines: newLineReader(in, maxImportLine), from: 1, stderr: env.Stderr, progress: newProgress(env, "devices"),
		results: make(chan importResult, importParallel), unknown: map[string]bool{}, goOnAt: math.MaxInt,
	}
}

// all imports everything. Its error says where to go on.
func (r *importRun) all(ctx context.Context) error {
	defer r.progress.clear()
	if err := r.checkForm(); err != nil {
		return err
	}
	r.readLines(ctx)
	for _, b := range r.batches.rest() {
		r.send(ctx, b)
	}
	for len(r.sent) > 0 {
		r.collect()
	}
	if r.err == nil {
		return nil
	}
	if ctx.Err() != nil {
		r.err = errInterrupted
	}
	return fmt.Errorf("%w (%d devices are done, %d failed): go on with --from-line %d", r.err, r.done, r.failed, r.goOnAt)
}

// checkForm refuses what is no file of JSON lines as a whole, where each of its lines would be an error.
func (r *importRun) checkForm() error {
	head, _ := r.lines.in.Peek(512) // an error comes again
	text, err := utf8text.SkipMark(head)
	if err != nil {
		return err
	}
	first, _, more := bytes.Cut(bytes.TrimLeft(text, " \t\r\n"), []byte("\n"))
	if first = bytes.TrimSpace(first); bytes.HasPrefix(first, []byte("[")) || more && string(first) == "{" {
		return errors.New("it is a JSON document, and one with a line for each device is wanted: jq -c '.[]?' makes one of an array, jq -c . of documents")
	}
	return nil
}

// readLines reads until the input ends, or the import.
func (r *importRun) readLines(ctx context.Context) {
	for r.err == nil {
		line, err := r.lines.next()
		switch {
		case errors.Is(err, io.EOF):
			return
		case errors.Is(err, errLongLine) && r.lines.number >= r.from:
			r.refuse(r.lines.number, fmt.Errorf("it is longer than %d bytes", maxImportLine))
		case err != nil && !errors.Is(err, errLongLine):
			r.end(err, r.lines.number)
		case r.lines.number >= r.from && !isBlank(line):
			r.add(ctx, line)
		}
	}
}

// isBlank reports whether a line holds nothing, but a byte order mark perhaps: what shells of Windows write of no rows.
func isBlank(line []byte) bool {
	rest, err := utf8text.SkipMark(line)
	return err == nil && len(bytes.TrimSpace(rest)) == 0
}

// add takes a line.
func (r *importRun) add(ctx context.Context, line []byte) {
	item, unknown, err := r.rules.parse(line)
	if err != nil {
		r.refuse(r.lines.number, err)
		return
	}
	for _, name := range unknown {
		r.tellUnknown(name)
	}
	for _, b := range r.batches.add(item, r.lines.number, len(line)) {
		r.send(ctx, b)
	}
}

// maxUnknown bounds the names of unknown members that are told of.
const maxUnknown = 20

func (r *importRun) tellUnknown(name string) {
	if r.unknown[name] || len(r.unknown) >= maxUnknown {
		return
	}
	r.unknown[name] = true
	r.print("line %d: warning: %s is, or holds, no member of a device, and is left out (this is said once)", r.lines.number, printable(name))
}

// refuse lists a line that failed.
func (r *importRun) refuse(line int, err error) {
	r.failed++
	r.print("line %d: %s", line, printable(err.Error()))
}

func (r *importRun) print(format string, args ...any) {
	r.progress.clear()
	fmt.Fprintf(r.stderr, format+"\n", args...)
}

// end makes the import end: line and what lies behind it is not done, or not known to be.
func (r *importRun) end(err error, line int) {
	if r.err == nil {
		r.err = err
	}
	r.goOnAt = min(r.goOnAt, line)
}

// send starts the call of a batch, as soon as few enough are on their way, and none with a row of one of its devices.
func (r *importRun) send(ctx context.Context, b *importBatch) {
	for len(r.sent) >= importParallel || r.isSent(b) {
		r.collect()
	}
	if r.err != nil {
		r.end(r.err, b.first)
		return
	}
	r.sent = append(r.sent, b)
	go func() { r.results <- importCall(ctx, r.client, b) }() // collect takes all of them; there is room for each
}
