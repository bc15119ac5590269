package cli_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cli"
)

// file writes a file and returns its name.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "devices.jsonl")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// importing runs device import, which has to end with status, and returns what it prints.
func (c *client) importing(status int, args ...string) (stdout, stderr string) {
	c.t.Helper()
	got, stdout, stderr := runLine(c.t, c.env, append([]string{"device", "import"}, args...)...)
	if got != status {
		c.t.Fatalf("import %v: status %d, stdout %s, stderr %s", args, got, stdout, stderr)
	}
	return stdout, stderr
}

// keys are the primary keys of all devices.
func (c *client) keys() map[string]hubward.NullString {
	c.t.Helper()
	keys := map[string]hubward.NullString{}
	for line := range strings.Lines(c.ok("device", "export")) {
		d := fromJSON[hubward.Device](c.t, line)
		keys[d.DeviceID] = d.Authentication.SymmetricKey.PrimaryKey
	}
	return keys
}

func TestDevice_exportAndImport(t *testing.T) {
	c := newClient(t)
	for _, id := range []string{"a", "b", "c"} {
		c.hub.CreateDevice(id)
	}
	before := c.keys()
	name := file(t, c.ok("device", "export")+"\n")
	c.fails(1, "3 of 3 devices failed", "device", "import", name, "--mode", "create")
	c.ok("device", "delete", "a", "c")
	if out := c.ok("device", "import", name); out != "3 devices done, 0 failed\n" {
		t.Errorf("import prints %q", out)
	}
	if diff := cmp.Diff(before, c.keys()); diff != "" {
		t.Error(diff)
	}
	if out := c.ok("device", "import", name, "--mode", "DELETE", "-o", "json"); out != `{"done":3,"failed":0,"warned":0}`+"\n" {
		t.Errorf("import prints %q", out)
	}
}

// What one line holds is no reason not to do the others.
func TestDeviceImport_badLines(t *testing.T) {
	c := newClient(t)
	longest := `{"deviceId":"longest"}`
	pad := func(n int) string { return longest + strings.Repeat(" ", n-len(longest)) }
	text := "\uFEFF" + strings.Join([]string{
		`{"deviceId":"a"}`,                   // 1
		`{"deviceId":`,                       // 2
		`{"deviceId":"b","status":"asleep"}`, // 3
		``,                                   // 4
		`{"deviceId":"c d"}`,                 // 5
		pad(cli.MaxImportLine - 1),           // 6
		pad(cli.MaxImportLine),               // 7
		pad(cli.MaxImportLine + 1),           // 8
		`{"deviceId":"e","colour":"red"}`,    // 9
		`{"deviceId":"f","colour":"blue"}`,   // 10
		"{\"deviceId\":\"caf\xE9\"}",         // 11
		`{"deviceId":"g"}`,                   // 12
	}, "\n")
	stdout, stderr := c.importing(1, file(t, text))
	if stdout != "6 devices done, 5 failed\n" {
		t.Errorf("import prints %q", stdout)
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := lines[len(lines)-1]
	slices.Sort(lines)
	for i, want := range []string{
		"hubward: 5 of 11 devices failed", "line 11: it is not UTF-8", "line 2: it is no JSON", "line 3: b: status:", "line 5: c d: ",
		"line 8: it is longer than 4194304 bytes", "line 9: warning: colour is",
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("stderr has no line %q:\n%s", want, stderr)
		}
	}
	if len(lines) != 7 || !strings.HasPrefix(last, "hubward: ") {
		t.Errorf("stderr is\n%s", stderr)
	}
	var ids []string
	for id := range c.keys() {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if diff := cmp.Diff([]string{"a", "e", "f", "g", "longest"}, ids); diff != "" {
		t.Error(diff)
	}
}

// A file as the cloud service exports it: rows of modules next to those of their devices, in any order.
func TestDeviceImport_cloudExport(t *testing.T) {
	c := newClient(t)
	old := c.hub.CreateDevice("gone")
	key := func(n byte) string { return strings.Repeat(string(n), 43) + "=" }
	auth := func(n byte) string {
		return `"authentication":{"symmetricKey":{"primaryKey":"` + key(n) + `","secondaryKey":"` + key(n) + `"},"type":"sas"}`
	}
	text := strings.Join([]string{
		`{"id":"d","moduleId":"m","eTag":"MA==","status":"enabled",` + auth('B') + `,"managedBy":"me"}`,
		`{"id":"d","eTag":"MA==","status":"disabled","statusReason":"moved",` + auth('A') + `,"twinETag":"AAAAAAAAAAE=","tags":{},` +
			`"properties":{"desired":{"$metadata":{},"$version":1},"reported":{"$metadata":{},"$version":1}},"capabilities":{"iotEdge":false},"deviceScope":null,"parentScopes":null}`,
		`{"id":"d","moduleId":"$edgeAgent","status":"enabled",` + auth('C') + `}`,
		`{"id":"gone","importMode":"delete","status":"enabled"}`,
		`{"id":"e","eTag":"` + old.ETag + `","importMode":"updateIfMatchETag","status":"enabled"}`,
		`{"id":"f","importMode":"updateTwin","status":"enabled","tags":{"a":1}}`,
		`{"id":"g","importMode":"sideways","status":"enabled"}`,
	}, "\n")
	stdout, stderr := c.importing(1, file(t, text))
	if stdout != "2 devices done, 5 failed\n" {
		t.Errorf("import prints %q", stdout)
	}
	for _, want := range []string{
		"line 1: d/m: The device 'd' is not registered.", "line 3: d/$edgeAgent: moduleId: ids that begin with $", "line 5: e: ", "line 6: f: The device 'f' is not registered.",
		`line 7: its importMode "sideways"`,
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr has no %q:\n%s", want, stderr)
		}
	}
	if diff := cmp.Diff(map[string]hubward.NullString{"d": hubward.NullString(key('A'))}, c.keys()); diff != "" {
		t.Error(diff)
	}
	d := fromJSON[hubward.Device](t, c.ok("device", "show", "d", "-o", "json"))
	if d.Status != hubward.StatusDisabled || d.StatusReason != "moved" {
		t.Errorf("stored %+v", d)
	}
	// A row that says otherwise than the command line is not done at all.
	if _, stderr := c.importing(1, file(t, `{"id":"d","importMode":"delete"}`), "--mode", "createOrUpdate"); !strings.Contains(stderr, "line 1: its importMode is delete and --mode is createOrUpdate") {
		t.Errorf("stderr %s", stderr)
	}
}

// What is no file of JSON lines is one error, and not one for each line.
func TestDeviceImport_otherForms(t *testing.T) {
	c := newClient(t)
	for text, want := range map[string]string{
		"[\n{\"deviceId\":\"a\"}\n]": "jq", " \n[{\"deviceId\":\"a\"}]": "jq", "{\n  \"deviceId\": \"a\"\n}": "jq",
		"\xFF\xFE{\x00\"\x00": "it is UTF-16, save or send it as UTF-8",
	} {
		name := file(t, text)
		if _, stderr := c.importing(1, name); !strings.HasPrefix(stderr, "hubward: "+name+": ") || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: %s", text, stderr)
		}
	}
	for _, empty := range []string{"", "\n \r\n", "\uFEFF", "\uFEFF\r\n"} {
		if out := c.ok("device", "import", file(t, empty)); out != "0 devices done, 0 failed\n" {
			t.Errorf("an empty file %q: %s", empty, out)
		}
	}
	c.fails(2, "--from-line 0", "device", "import", file(t, ""), "--from-line", "0")
	c.fails(2, "--mode", "device", "import", file(t, ""), "--mode", "replace")
}

func rows(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"deviceId\":\"d%05d\"}\n", i)
	}
	return b.String()
}

// Around the size of a call, and of a page.
func TestDevice_manyDevices(t *testing.T) {
	c := newClient(t)
	for _, n := range []int{99, 100, 101, 999, 1000, 1001} {
		if out := c.ok("device", "import", file(t, rows(n))); out != fmt.Sprintf("%d devices done, 0 failed\n", n) {
			t.Errorf("import prints %q", out)
		}
		if got := strings.Count(c.ok("device", "export"), "\n"); got != n {
			t.Errorf("%d of %d devices are exported", got, n)
		}
		if got := strings.Count(c.ok("device", "list"), "\n"); got != n+1 {
			t.Errorf("%d lines list %d devices", got, n)
		}
	}
	for _, top := range []int{1, 999, 1000, 1001, 5000} {
		want := min(top, 1001)
		out := c.ok("device", "list", "--top", fmt.Sprint(top), "-o", "json")
		if got := strings.Count(out, "\n"); got != want || !strings.Contains(out, fmt.Sprintf("d%05d", want-1)) {
			t.Errorf("--top %d lists %d devices", top, got)
		}
	}
	c.fails(2, "--top 0", "device", "list", "--top", "0")
}

// failing is a hub that does some bulk calls and then is not well. It counts the rows that it has done.
type failing struct {
	*httptest.Server
	calls, rows atomic.Int64
	good        int64 // calls that it does
	onCall      func(rows []struct{ ID, StatusReason string })
}

func newFailing(t *testing.T, good int64, status int, code string) (*failing, *client) {
	f := &failing{good: good}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client has left
		}
		var sent []struct{ ID, StatusReason string }
		if json.Unmarshal(body, &sent) != nil {
			t.Errorf("%s %s: %s", r.Method, r.URL, body)
		}
		if f.onCall != nil {
			f.onCall(sent)
		}
		w.Header().Set("Content-Type", "application/json")
		if f.calls.Add(1) > f.good {
			w.Header().Set("iothub-errorcode", code)
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"Message":"ErrorCode:%s;not now","ExceptionMessage":"x"}`, code)
			return
		}
		f.rows.Add(int64(len(sent)))
		io.WriteString(w, `{"isSuccessful":true,"errors":[],"warnings":[]}`)
	}))
	f.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.StartTLS()
	t.Cleanup(f.Close)
	return f, &client{t: t, env: loginAt(t, f.Server)}
}

// loginAt is the environment for a server that takes any key.
func loginAt(t *testing.T, server *httptest.Server) map[string]string {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	login := "HostName=" + strings.TrimPrefix(server.URL, "https://") + ";SharedAccessKeyName=iothubowner;SharedAccessKey=" + wrongKey
	return map[string]string{"HUBWARD_CONNECTION_STRING": login, "HUBWARD_CA": ca}
}

// When the hub goes away, the error names a line before which all is done, and with it the import goes on.
func TestDeviceImport_goesOn(t *testing.T) {
	const n = 2050
	name := file(t, rows(n))
	for _, good := range []int64{0, 1, 7, 20} {
		f, c := newFailing(t, good, 503, "ServiceUnavailable")
		_, stderr := c.importing(1, name)
		_, number, found := strings.Cut(stderr, "go on with --from-line ")
		var line int64
		if _, err := fmt.Sscan(number, &line); !found || err != nil || !strings.Contains(stderr, fmt.Sprintf("(%d devices are done, 0 failed)", f.rows.Load())) {
			t.Fatalf("%d calls: %s", good, stderr)
		}
		// Calls overtake each other, but few are on their way.
		if line < 1 || line-1 > f.rows.Load() || f.rows.Load()-line > 800 {
			t.Errorf("%d calls, which did %d rows: %s", good, f.rows.Load(), stderr)
		}
		f.good = 1 << 40
		f.rows.Store(0)
		c.ok("device", "import", name, "--from-line", fmt.Sprint(line))
		if got := f.rows.Load(); got != n-line+1 {
			t.Errorf("from line %d on, %d rows were sent", line, got)
		}
	}
}

func TestDeviceImport_interrupted(t *testing.T) {
	f, c := newFailing(t, 1<<40, 0, "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.onCall = func([]struct{ ID, StatusReason string }) {
		if f.calls.Load() == 3 {
			cancel()
		}
	}
	var errs lockedBuffer
	env := cli.Env{Stdout: io.Discard, Stderr: &errs, Getenv: func(name string) string { return c.env[name] }}
	status := cli.Main(ctx, env, []string{"device", "import", file(t, rows(5000))})
	if text := errs.String(); status != 1 || !strings.Contains(text, ": interrupted (") || !strings.Contains(text, "go on with --from-line ") || strings.Contains(text, "context") {
		t.Errorf("status %d, %s", status, text)
	}
}

// Calls run side by side, but not those that hold rows of one device.
func TestDeviceImport_rowsOfADeviceFollowOneAnother(t *testing.T) {
	f, c := newFailing(t, 1<<40, 0, "")
	var mu sync.Mutex
	active, last := map[string]bool{}, map[string]string{}
	var calls, most int
	f.onCall = func(rows []struct{ ID, StatusReason string }) {
		mark := func(is bool) {
			mu.Lock()
			defer mu.Unlock()
			if is {
				calls++
				most = max(most, calls)
			} else {
				calls--
			}
			for _, row := range rows {
				if is && (active[row.ID] || row.StatusReason <= last[row.ID]) {
					t.Errorf("line %s of %s comes while or after line %s is done", row.StatusReason, row.ID, last[row.ID])
				}
				active[row.ID], last[row.ID] = is, row.StatusReason
			}
		}
		mark(true)
		for range 1000 {
			runtime.Gosched()
		}
		mark(false)
	}
	var b strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&b, "{\"id\":\"d%d\",\"statusReason\":\"%05d\"}\n", i/3%700, i)
	}
	c.ok("device", "import", file(t, b.String()))
	if f.rows.Load() != 3000 || most > 8 {
		t.Errorf("%d rows, %d calls at once", f.rows.Load(), most)
	}
}

// A call that is refused for what one row has in it is made again, row by row.
func TestDeviceImport_refusedCalls(t *testing.T) {
	f, c := newFailing(t, 0, 400, "ArgumentInvalid")
	_, stderr := c.importing(1, file(t, rows(3)))
	if f.calls.Load() != 4 || strings.Count(stderr, ": not now\n") != 3 || !strings.Contains(stderr, "line 2: d00001: not now\n") || !strings.Contains(stderr, "3 of 3 devices failed") {
		t.Errorf("%d calls: %s", f.calls.Load(), stderr)
	}
}

func TestWriteWhole(t *testing.T) {
	dir := t.TempDir()
	target, link, folder := filepath.Join(dir, "target"), filepath.Join(dir, "link"), filepath.Join(dir, "folder")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	write := func(text string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		}
	}
	if err := os.WriteFile(target, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := cli.WriteWhole(link, write("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info, err)
	}
	if text, err := os.ReadFile(target); err != nil || string(text) != "new" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := cli.WriteWhole(folder, write("x")); err == nil {
		t.Error("a folder was written to")
	}
	if err := cli.WriteWhole(os.DevNull, write("x")); err != nil {
		t.Errorf("the null device: %v", err)
	}
}
