package replaytest

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds each wait for the hub.
const patience = 10 * time.Second

// manner is how the client's bytes reach the hub.
type manner struct {
	name string
	// read returns how many bytes of up to n one read of the hub's returns at most; nil: as they come.
	read func(n int) int
	// together writes all frames that wait for nothing of the hub's at once.
	together bool
}

func manners() []manner {
	rng := rand.New(rand.NewPCG(1, 2))
	return []manner{
		{name: "by frame"},
		{name: "together", together: true},
		{name: "by byte", read: func(int) int { return 1 }},
		{name: "in pieces", together: true, read: func(n int) int { return 1 + rng.IntN(min(n, 50)) }},
	}
}

// slowConn is the hub's end of a connection whose reads return less than they could.
type slowConn struct {
	net.Conn
	most func(n int) int
}

func (c slowConn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return c.Conn.Read(b[:c.most(len(b))])
}

// connect opens a connection to the fixture's server. The function that it returns waits until the server is done.
func (f *fixture) connect(t testing.TB, m manner) (*net.TCPConn, func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	served, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if m.read != nil {
		served = slowConn{served, m.read}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.server.ServeConn(served)
	}()
	return client.(*net.TCPConn), func() {
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("the hub did not end the connection")
		}
	}
}

// player plays the client of one connection.
type player struct {
	conn *net.TCPConn
	said []line // both sides, in the order in which it came about; written by play, and by listen under mu

	mu    sync.Mutex
	heard map[string]int // by stream
	ended bool           // the hub has closed
	news  chan struct{}  // holds one when heard or ended has changed
}

// play plays one connection and returns it as it went this time. An error says which frame of the hub's did not come;
// then it goes on, so that the comparison shows what came instead.
func play(t testing.TB, f *fixture, script []line, m manner) ([]line, error) {
	t.Helper()
	conn, wait := f.connect(t, m)
	p := &player{conn: conn, heard: map[string]int{}, news: make(chan struct{}, 1)}
	var listening sync.WaitGroup
	listening.Go(p.listen)
	err := p.send(t, script, m)
	err = errors.Join(err, conn.CloseWrite())
	listening.Wait()
	wait()
	return p.said, err
}

// send sends the client's frames, each when it is due.
func (p *player) send(t testing.TB, script []line, m manner) (late error) {
	t.Helper()
	due := map[string]int{}
	var pending []byte
	flush := func() {
		if _, err := p.conn.Write(pending); err != nil && late == nil {
			late = err
		}
		pending = nil
	}
	for _, l := range script {
		switch {
		case l.From == fromHub:
			flush()
			if key := stream(l.Text); key != "" && l.Text != textEnd {
				due[key] += len(single(l.Text))
			}
		case l.Text == textEnd:
			flush()
			if late == nil { // once something was late, nothing is waited for any more
				late = p.await(due)
			}
			p.note(l)
			return late
		default:
			if late == nil {
				late = p.await(due)
			}
			p.note(l)
			if pending = append(pending, l.bytes(t)...); !m.together {
				flush()
			}
		}
	}
	flush()
	return late
}

func (p *player) note(l line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, l)
}

// await waits until the hub has said as much on each stream as is due.
func (p *player) await(due map[string]int) error {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		p.mu.Lock()
		missing, ended := "", p.ended
		for key, n := range due {
			if p.heard[key] < n {
				missing = fmt.Sprintf("frame %d of %s has not come", p.heard[key], key)
			}
		}
		p.mu.Unlock()
		switch {
		case missing == "":
			return nil
		case ended:
			return fmt.Errorf("%s, and the hub has closed the connection", missing)
		}
		select {
		case <-p.news:
		case <-timeout.C:
			return errors.New(missing)
		}
	}
}

// listen notes what the hub says, until its end.
func (p *player) listen() {
	in := bufio.NewReader(p.conn)
	for {
		unit, err := readUnit(in)
		p.mu.Lock()
		if err != nil {
			p.ended = true
			p.said = append(p.said, line{From: fromHub, Text: textEnd})
		} else {
			l := line{From: fromHub, Text: textOf(fromHub, unit)}
			p.said = append(p.said, l)
			p.heard[stream(l.Text)] += len(single(l.Text))
		}
		p.mu.Unlock()
		select {
		case p.news <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// heardOf returns what the hub says in a script up to the client's end, and in all of it. What it still says when the
// client has gone, it may as well not.
func heardOf(script []line) (before, all map[string][]string) {
	var texts []string
	end := -1
	for _, l := range script {
		switch {
		case l.From == fromHub:
			texts = append(texts, l.Text)
		case l.Text == textEnd && end < 0:
			end = len(texts)
		}
	}
	if end < 0 {
		end = len(texts)
	}
	return streams(texts[:end]), streams(texts)
}

// differences compares what the hub said in two scripts of one connection.
func differences(want, got []line) []string {
	wantBefore, wantAll := heardOf(want)
	gotBefore, gotAll := heardOf(got)
	keys := maps.Clone(wantAll)
	maps.Copy(keys, gotAll)
	var wrong []string
	for key := range keys {
		if !begins(gotAll[key], wantBefore[key]) || !begins(wantAll[key], gotBefore[key]) {
			wrong = append(wrong, fmt.Sprintf("%s:\n%s", key, diff(wantAll[key], gotAll[key])))
		}
	}
	slices.Sort(wrong)
	return wrong
}

func begins(all, with []string) bool {
	return len(all) >= len(with) && slices.Equal(all[:len(with)], with)
}

// diff shows the first lines in which two lists differ, and the line before them.
func diff(want, got []string) string {
	n := 0
	for n < len(want) && n < len(got) && want[n] == got[n] {
		n++
	}
	text := fmt.Sprintf("  %d lines recorded, %d now\n", len(want), len(got))
	if n > 0 {
		text += "    " + clip(want[n-1], 0) + "\n"
	}
	for i := n; i < n+3; i++ { // what follows is mostly the same difference again
		switch {
		case i < len(want) && i < len(got):
			from := common(want[i], got[i])
			text += "  - " + clip(want[i], from) + "\n  + " + clip(got[i], from) + "\n"
		case i < len(want):
			text += "  - " + clip(want[i], 0) + "\n"
		case i < len(got):
			text += "  + " + clip(got[i], 0) + "\n"
		}
	}
	return text
}

// common is how many bytes two lines begin with that are the same.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// clip shows the beginning of a long line, and what is around from.
func clip(text string, from int) string {
	const head, before, after = 60, 40, 200
	end := min(len(text), from+after)
	cut := text[:end]
	if from-before > head {
		cut = text[:head] + " … " + text[from-before:end]
	}
	if end < len(text) {
		cut += " …"
	}
	return strings.ToValidUTF8(cut, "")
}
