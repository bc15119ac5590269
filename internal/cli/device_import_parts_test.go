package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/cli"
	"github.com/hubward/hubward/service"
)

func TestLines_limit(t *testing.T) {
	line := func(n int) string { return strings.Repeat("x", n) }
	for _, test := range []struct {
		give string
		want []int // lengths; -1: too long
	}{
		{"", nil},
		{"\n", []int{0}},
		{"a", []int{1}},
		{"a\n", []int{1}},
		{"a\n\nbc", []int{1, 0, 2}},
		{line(99) + "\n" + line(100) + "\n" + line(101) + "\n" + line(1), []int{99, 100, -1, 1}},
		{line(200_000) + "\n" + line(100), []int{-1, 100}}, // more than the buffer holds
		{line(101), []int{-1}},
	} {
		for name, in := range map[string]io.Reader{"whole": strings.NewReader(test.give), "byte by byte": iotest.OneByteReader(strings.NewReader(test.give))} {
			lines, offset, err := cli.Lines(in, 100)
			var got []int
			for _, l := range lines {
				if l == nil {
					got = append(got, -1)
				} else {
					got = append(got, len(l))
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil || offset != int64(len(test.give)) {
				t.Errorf("%.20q %s: %v, offset %d, %s", test.give, name, err, offset, diff)
			}
		}
	}
	broken := errors.New("broken")
	lines, _, err := cli.Lines(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), 100)
	if !errors.Is(err, broken) || len(lines) != 1 {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}

func FuzzLines(f *testing.F) {
	for _, seed := range []string{"", "\n", "a\nb", "\n\n", strings.Repeat("x", 9) + "\ny"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const limit = 8
		lines, _, err := cli.Lines(bytes.NewReader(text), limit)
		if err != nil {
			t.Fatal(err)
		}
		var want [][]byte
		for l := range bytes.Lines(text) {
			if l = bytes.TrimSuffix(l, []byte("\n")); len(l) > limit {
				l = nil
			}
			want = append(want, l)
		}
		if !slices.EqualFunc(want, lines, func(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }) {
			t.Errorf("%q: %q, want %q", text, lines, want)
		}
	})
}

func TestParseImportRow(t *testing.T) {
	const never = "createOrUpdate"
	for _, test := range []struct {
		line, mode string
		want       string // device, module, mode, number of twin members; or the error
		unknown    string
	}{
		{`{"deviceId":"a","etag":"x","status":"enabled"}`, "", "a||" + never + "|0", ""},
		{`{"id":"a","eTag":"x"}`, "delete", "a||delete|0", ""},
		{`{"id":"a","deviceId":"a","moduleId":null}`, "", "a||" + never + "|0", ""},
		{`{"id":"a","deviceId":"b"}`, "", `its id is "a" and its deviceId "b"`, ""},
		{`{"id":"a","moduleId":"m","managedBy":"x"}`, "", "a|m|" + never + "|0", ""},
		{`{"id":"a","importMode":"DELETEIFMATCHETAG"}`, "", "a||deleteIfMatchETag|0", ""},
		{`{"id":"a","importMode":"delete"}`, "delete", "a||delete|0", ""},
		{`{"id":"a","importMode":"delete"}`, "createOrUpdate", "its importMode is delete and --mode is createOrUpdate", ""},
		{`{"id":"a","importMode":"remove"}`, "", `its importMode "remove" is none of createOrUpdate, create`, ""},
		{`{"id":"a","importMode":5}`, "", "a JSON number is no importMode", ""},
		{`{"id":"a","twinETag":"AAAAAAAAAAI=","tags":{"l":1},"properties":{"desired":{"t":{}},"reported":{"$version":1}}}`, "", "a||" + never + "|2", ""},
		{`{"id":"a","tags":[1]}`, "", "a JSON array is no tags", ""},
		{`{"id":"a","properties":{"desired":5}}`, "", "a JSON number is no properties.desired", ""},
		{`{"id":"a","colour":1,"authentication":{"key":"x"}}`, "", "a||" + never + "|0", "authentication colour"},
		{`{"id":"a","status":5}`, "", "a JSON number is no status", ""},
		{"\uFEFF" + `{"id":"a"} ` + "\r", "", "a||" + never + "|0", ""},
		{`{"id":"a"}{"id":"b"}`, "", "it is no JSON: invalid character '{' after top-level value, at byte 11", ""},
		{`{"id":`, "", "it is no JSON: unexpected end of JSON input, at byte 6", ""},
		{`null`, "", "it has no deviceId", ""}, {`{}`, "", "it has no deviceId", ""},
		{`[]`, "", "it is a JSON array and no object", ""}, {`"x"`, "", "it is a JSON string and no object", ""},
		{"{\"id\":\"caf\xE9\"}", "", "it is not UTF-8: byte 11 is 0xe9", ""},
		{"{\x00\"\x00", "", "it is UTF-16", ""},
	} {
		item, unknown, err := cli.ParseImportRow([]byte(test.line), service.ImportMode(test.mode))
		got := fmt.Sprintf("%s|%s|%s|%d", item.Device.DeviceID, item.ModuleID, item.Mode, len(item.Tags)+len(item.Desired)+len(item.Reported))
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, test.want) || strings.Join(unknown, " ") != test.unknown {
			t.Errorf("%s: %s, unknown %v; want %s, %s", test.line, got, unknown, test.want, test.unknown)
		}
	}
}

func FuzzImportRow(f *testing.F) {
	for _, seed := range []string{
		`{"deviceId":"a","etag":"x"}`, `{"id":"a","importMode":"delete","moduleId":"m"}`, `{}`, `null`, `[]`, "\uFEFF{}", `{"id":"a"}{`,
		`{"id":"a","tags":{"a":[[[`, `{"id":"a","properties":{"desired":{"$version":1}}}`, `{"id":"a","authentication":{"type":"sas","x":1},"foo":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		item, unknown, err := cli.ParseImportRow(line, "")
		if err == nil && (item.Device.DeviceID == "" || item.Mode == "") {
			t.Errorf("%q gives %+v", line, item)
		}
		if len(unknown) > len(line) {
			t.Errorf("%q has %d members", line, len(unknown))
		}
	})
}

// Whatever the file: all rows are sent, each call is within its bounds and names a device once, and the rows of a device keep
// their order.
func TestBatches_keepOrderAndBounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		devices, size := 1+rng.IntN(300), 1+rng.IntN(1<<rng.IntN(20))
		rows := make([]cli.BatchRow, rng.IntN(2000))
		for i := range rows {
			rows[i] = cli.BatchRow{Device: fmt.Sprint("d", rng.IntN(devices)), Size: 1 + rng.IntN(size)}
		}
		sent := map[int]bool{}
		last := map[string]int{}
		for _, b := range cli.Batches(rows) {
			seen, bytes := map[string]bool{}, 0
			for _, line := range b.Lines {
				row := rows[line-1]
				if seen[row.Device] || sent[line] || line < last[row.Device] {
					t.Fatalf("line %d of %s: twice in a call, sent twice, or too late", line, row.Device)
				}
				seen[row.Device], sent[line], last[row.Device] = true, true, line
				bytes += row.Size
			}
			if len(b.Lines) == 0 || len(b.Lines) > service.MaxBulkItems || bytes > cli.MaxBatchBytes || bytes != b.Bytes || b.First != slices.Min(b.Lines) {
				t.Fatalf("a call of %d rows and %d bytes: %+v", len(b.Lines), bytes, b)
			}
		}
		if len(sent) != len(rows) {
			t.Fatalf("%d of %d rows are sent", len(sent), len(rows))
		}
	}
}

func TestBatches_areFull(t *testing.T) {
	count := func(rows []cli.BatchRow) (sizes []int) {
		for _, b := range cli.Batches(rows) {
			sizes = append(sizes, len(b.Lines))
		}
		return sizes
	}
	var plain, pairs, same []cli.BatchRow
	for i := range 201 {
		plain = append(plain, cli.BatchRow{Device: fmt.Sprint(i), Size: 1})
		pairs = append(pairs, cli.BatchRow{Device: fmt.Sprint(i), Size: 1}, cli.BatchRow{Device: fmt.Sprint(i), Size: 1}) // a device and its module
	}
	for range cli.MaxOpenBatches + 2 {
		same = append(same, cli.BatchRow{Device: "d", Size: 1})
	}
	for _, test := range []struct {
		name string
		rows []cli.BatchRow
		want []int
	}{
		{"99", plain[:99], []int{99}}, {"100", plain[:100], []int{100}}, {"101", plain[:101], []int{100, 1}}, {"201", plain, []int{100, 100, 1}},
		{"pairs", pairs, []int{100, 100, 100, 100, 1, 1}},
		{"one device", same, slices.Repeat([]int{1}, cli.MaxOpenBatches+2)},
		{"bytes", []cli.BatchRow{{Device: "a", Size: cli.MaxBatchBytes - 1}, {Device: "b", Size: 1}, {Device: "c", Size: 1}}, []int{2, 1}},
	} {
		if diff := cmp.Diff(test.want, count(test.rows)); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	p := cli.NewProgress(&out, func() time.Time { return now })
	p.Clear()
	p.Show(0, 0)
	now = now.Add(199 * time.Millisecond)
	p.Show(5000, 0.1) // too soon
	now = now.Add(1801 * time.Millisecond)
	p.Show(50_000, 0.25)
	now = now.Add(time.Second)
	p.Show(75_000, -1)
	p.Clear()
	p.Clear()
	now = now.Add(time.Second)
	p.Show(200_000, 1.2)
	want := "\r\x1b[K0 devices\r\x1b[K50000 devices, 25000/s, 25%, 6s left\r\x1b[K75000 devices, 25000/s\r\x1b[K\r\x1b[K200000 devices, 50000/s, 100%, 0s left"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
