package listen_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/front/listen"
)

// knock brings a connection from an address to a limit, and reports what it handed out, nil when it was refused.
func knock(t *testing.T, l *listen.Limit, address string) net.Conn {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close() })
	nc := listen.Admit(l, &from{far, netip.MustParseAddr(address)})
	if nc == nil {
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a refused connection is open: %v", err)
		}
	}
	return nc
}

func TestAddresses(t *testing.T) {
	var log bytes.Buffer
	addresses := listen.NewAddresses(listen.AddressOptions{Max: 2, Logger: textLogger(&log)})
	mqtt := listen.NewLimit(listen.LimitOptions{Protocol: "mqtt", Max: 100, Addresses: addresses})
	amqp := listen.NewLimit(listen.LimitOptions{Protocol: "amqp", Max: 100, Addresses: addresses})
	want := func(what string, nc net.Conn, in bool) net.Conn {
		t.Helper()
		if (nc != nil) != in {
			t.Errorf("%s: let in %t", what, nc != nil)
		}
		return nc
	}
	first := want("the first", knock(t, mqtt, "192.0.2.1"), true)
	second := want("at the bound, of another protocol", knock(t, amqp, "192.0.2.1"), true)
	want("one above", knock(t, amqp, "192.0.2.1"), false)
	want("as IPv6 sees it", knock(t, mqtt, "::ffff:192.0.2.1"), false)
	want("a neighbour", knock(t, mqtt, "192.0.2.2"), true)
	listen.LoggedIn(second) // makes no difference
	want("one above, still", knock(t, mqtt, "192.0.2.1"), false)
	first.Close()
	first.Close() // counts once
	want("after one has left", knock(t, mqtt, "192.0.2.1"), true)
	want("one above, again", knock(t, mqtt, "192.0.2.1"), false)
	want("IPv6", knock(t, mqtt, "2001:db8::1"), true)
	want("the same network", knock(t, mqtt, "2001:db8::ffff:1"), true)
	want("the same network, one above", knock(t, mqtt, "2001:db8::2"), false)
	want("another network", knock(t, mqtt, "2001:db8:0:1::1"), true)
	for range 5 {
		want("this machine", knock(t, mqtt, "127.0.0.1"), true)
		want("this machine", knock(t, mqtt, "::1"), true)
	}
	if mqtt.Crowded() != 4 || amqp.Crowded() != 1 || mqtt.Refused()+amqp.Refused() != 0 {
		t.Errorf("crowded %d, %d", mqtt.Crowded(), amqp.Crowded())
	}
	if n := strings.Count(log.String(), "too many from its address"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

// A connection that finds no place of its protocol is counted for no address.
func TestAddresses_withoutPlace(t *testing.T) {
	addresses := listen.NewAddresses(listen.AddressOptions{Max: 1})
	full := listen.NewLimit(listen.LimitOptions{Max: 1, Addresses: addresses})
	listen.LoggedIn(knock(t, full, "192.0.2.1"))
	if knock(t, full, "192.0.2.2") != nil {
		t.Error("there was a place")
	}
	other := listen.NewLimit(listen.LimitOptions{Max: 1, Addresses: addresses})
	if knock(t, other, "192.0.2.2") == nil {
		t.Error("it was counted")
	}
}

// Who floods a full limit gives way to others, and to himself; others do not give way to him.
func TestLimit_fairBetweenAddresses(t *testing.T) {
	l := listen.NewLimit(listen.LimitOptions{Max: 4})
	slow := knock(t, l, "192.0.2.1")
	flood := []net.Conn{knock(t, l, "192.0.2.9"), knock(t, l, "192.0.2.9"), knock(t, l, "192.0.2.9")}
	open := func(nc net.Conn) bool {
		return nc.SetReadDeadline(time.Time{}) == nil
	}
	more := knock(t, l, "192.0.2.9")
	if !open(slow) || open(flood[0]) || !open(flood[1]) {
		t.Errorf("slow %t, flood %t, %t", open(slow), open(flood[0]), open(flood[1]))
	}
	knock(t, l, "192.0.2.2") // takes the place of who has waited longest
	if open(slow) || !open(flood[1]) || !open(more) {
		t.Errorf("slow %t, flood %t, %t", open(slow), open(flood[1]), open(more))
	}
}
