package replaytest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
)

// fuzzMost bounds an input in bytes: a whole conversation fits.
const fuzzMost = 64 << 10

// FuzzConversation changes what real clients say: frames are changed, left out, repeated and swapped, and mostly stay
// frames. The hub must survive it, log no error of its own, and be done with the connection when the client has gone.
func FuzzConversation(f *testing.F) {
	hub, conversations := seeds(f)
	for n := range conversations {
		f.Add(uint8(n), []byte{0, 1, 0, 0, 0, 0})
		f.Add(uint8(n), []byte{1, 8, 0, 20, 2, 3, 1, 2, 3})
		f.Add(uint8(n), []byte{2, 5, 0, 0, 0, 0, 3, 7, 0, 0, 0, 0})
		f.Add(uint8(n), []byte{4, 6, 0, 3, 1, 1, 9})
	}
	f.Fuzz(func(t *testing.T, n uint8, edits []byte) {
		frames := conversations[int(n)%len(conversations)]
		if data := bytes.Join(edit(frames, edits), nil); len(data) <= fuzzMost {
			say(t, hub, data)
		}
	})
}

// seeds returns a fixture and what the clients of all transcripts say, frame by frame, one connection after the other.
func seeds(f *testing.F) (hub *fixture, conversations [][][]byte) {
	f.Helper()
	for _, name := range names(f) {
		script := load(f, name)
		if hub == nil {
			hub = newFixture(f, script.Time) // the transcripts are of one day: the clock is later than no token's end
		}
		for _, connection := range script.connections() {
			var frames [][]byte
			for _, l := range connection {
				if l.From == fromClient && l.Text != textEnd {
					frames = append(frames, l.bytes(f))
				}
			}
			conversations = append(conversations, frames)
		}
	}
	return hub, conversations
}

// editSize is the size of an edit: what is done, to which frame, at which byte of it (two bytes), how many bytes are
// replaced, and by how many of those that follow the edit.
const editSize = 6

// maxEdits bounds how often a conversation is changed.
const maxEdits = 32

// edit changes a conversation. The bytes of edits mean something whatever they are.
func edit(frames [][]byte, edits []byte) [][]byte {
	frames = slices.Clone(frames)
	for n := 0; n < maxEdits && len(edits) >= editSize && len(frames) > 0; n++ {
		what, at := edits[0], int(edits[1])%len(frames)
		position, drop, add := int(edits[2])<<8|int(edits[3]), int(edits[4]), int(edits[5])
		edits = edits[editSize:]
		switch what % 5 {
		case 0:
			frames = slices.Delete(frames, at, at+1)
		case 1:
			add = min(add, len(edits))
			frames[at] = splice(frames[at], sizeField, position, drop, edits[:add])
			edits = edits[add:]
		case 2:
			frames = slices.Insert(frames, at, frames[at])
		case 3:
			to := position % len(frames)
			frames[at], frames[to] = frames[to], frames[at]
		case 4: // also the size, which may not be right afterwards
			add = min(add, len(edits))
			frames[at] = splice(frames[at], 0, position, drop, edits[:add])
			edits = edits[add:]
		}
	}
	return frames
}

// sizeField is how long the field is that a frame begins with.
const sizeField = 4

// splice replaces some of a frame behind its first keep bytes, and makes its size right again unless that may have been
// changed too.
func splice(frame []byte, keep, position, drop int, with []byte) []byte {
	keep = min(keep, len(frame))
	from := keep + position%(len(frame)-keep+1)
	out := slices.Concat(frame[:from], with, frame[min(from+drop, len(frame)):])
	if keep == sizeField && string(out[:keep]) != amqpwire.HeaderAMQP[:keep] {
		binary.BigEndian.PutUint32(out, uint32(len(out)))
	}
	return out
}

// say sends data on a connection, closes it, and waits for the hub to be done with it.
func say(t *testing.T, hub *fixture, data []byte) {
	t.Helper()
	client, served := net.Pipe()
	done, heard := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		hub.server.ServeConn(served)
	}()
	go func() {
		defer close(heard)
		_, _ = io.Copy(io.Discard, client) // until the end, whichever
	}()
	_ = client.SetWriteDeadline(time.Now().Add(patience))
	if _, err := client.Write(data); os.IsTimeout(err) {
		t.Fatalf("the hub stopped reading:\n%s", stacks())
	}
	client.Close()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("the hub is not done with a connection that is gone:\n%s", stacks())
	}
	<-heard
	if text := hub.logged.String(); text != "" {
		t.Fatalf("the hub logged errors:\n%s", text)
	}
}

func stacks() []byte {
	text := make([]byte, 1<<20)
	return text[:runtime.Stack(text, true)]
}
