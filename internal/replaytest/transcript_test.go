package replaytest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
)

// transcript is one client's conversation with the fixture.
type transcript struct {
	Client string    `json:"client"` // name and version
	Time   time.Time `json:"time"`   // what the hub's clock showed
	lines  []line
}

// line is one frame, or protocol header, or the end of what one side says.
type line struct {
	Conn int    `json:"conn"` // from 0, in the order in which the client opened them
	From string `json:"from"` // fromClient or fromHub
	Text string `json:"text"` // for people; of the hub's, this is what is compared
	Hex  string `json:"hex,omitempty"`
}

const (
	fromClient = ">"
	fromHub    = "<"
	textEnd    = "end" // the side has closed its connection
)

// load reads a file of testdata.
func load(t testing.TB, name string) *transcript {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	d := json.NewDecoder(bufio.NewReader(file))
	d.DisallowUnknownFields()
	script := &transcript{}
	if err := d.Decode(script); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for {
		var l line
		err := d.Decode(&l)
		if err == io.EOF {
			return script
		}
		if err != nil || l.From != fromClient && l.From != fromHub {
			t.Fatalf("%s: line %d: from %q, %v", name, len(script.lines)+2, l.From, err)
		}
		script.lines = append(script.lines, l)
	}
}

// save writes a file of testdata.
func (s *transcript) save(t testing.TB, name string) {
	t.Helper()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		t.Fatal(err)
	}
	for _, l := range s.lines {
		if err := e.Encode(l); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join("testdata", name+".jsonl"), out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// names lists the transcripts of testdata.
func names(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("there are no transcripts")
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".jsonl")
	}
	return files
}

// connections returns the lines of each connection.
func (s *transcript) connections() [][]line {
	var all [][]line
	for _, l := range s.lines {
		for l.Conn >= len(all) {
			all = append(all, nil)
		}
		all[l.Conn] = append(all[l.Conn], l)
	}
	return all
}

// bytes returns what a client's line sends.
func (l *line) bytes(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(l.Hex)
	if err != nil {
		t.Fatalf("the client's line %q: %v", l.Text, err)
	}
	return b
}

// maxUnit bounds a frame that a recorder or a player reads.
const maxUnit = 1 << 20

// readUnit reads one protocol header or one frame.
func readUnit(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(4)
	if err != nil {
		return nil, err
	}
	size := amqpwire.HeaderSize
	if string(head) != amqpwire.HeaderAMQP[:4] {
		size = int(binary.BigEndian.Uint32(head))
	}
	if size < amqpwire.FrameHeaderSize || size > maxUnit {
		return nil, fmt.Errorf("a frame of %d bytes", size)
	}
	unit := make([]byte, size)
	_, err = io.ReadFull(r, unit)
	return unit, err
}
