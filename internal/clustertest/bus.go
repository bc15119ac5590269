package clustertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

func joinTwice(f *fixture) {
	f.joinWith(f.a, nodeA, &handler{call: echo})
	_, err := f.b.Join(f.ctx, nodeA, &handler{})
	f.code("a second node of the same name", err, hubward.CodeInvalidOperation)
	f.answers(f.a, nodeA, "x", "y")
	f.joinWith(f.b, nodeB, &handler{call: echo})
	f.answers(f.a, nodeB, "x", "y")
}

// answers wants a node to echo.
func (f *fixture) answers(c hub.Cluster, node, subject, request string) {
	f.Helper()
	response, err := c.Call(f.ctx, node, subject, []byte(request))
	if want := subject + ":" + request; err != nil || string(response) != want {
		f.Errorf("Call %s = %q, %v, want %q", node, response, err, want)
	}
}

func callReaches(f *fixture) {
	named := func(name string) *handler {
		return &handler{call: func(_ context.Context, subject string, request []byte) ([]byte, error) {
			return []byte(name + ":" + subject + ":" + string(request)), nil
		}}
	}
	f.joinWith(f.a, nodeA, named(nodeA))
	f.joinWith(f.b, nodeB, named(nodeB))
	for _, c := range []hub.Cluster{f.a, f.b} {
		for _, node := range []string{nodeA, nodeB} {
			for _, subject := range []string{"method", "a.b", "*", "a b/ü"} {
				response, err := c.Call(f.ctx, node, subject, []byte("r"))
				if want := node + ":" + subject + ":r"; err != nil || string(response) != want {
					f.Errorf("Call = %q, %v, want %q", response, err, want)
				}
			}
		}
	}
}

func callSizes(f *fixture) {
	same := func(_ context.Context, _ string, request []byte) ([]byte, error) { return request, nil }
	f.join(f.a, nodeA)
	f.joinWith(f.b, nodeB, &handler{call: same})
	for _, size := range []int{0, 1, 4096, 1<<20 - 1, 1 << 20} {
		request := bytes.Repeat([]byte{0, 1, 0xff, '\n', 'x'}, size/5+1)[:size]
		response, err := f.a.Call(f.ctx, nodeB, "size", request)
		if err != nil || !bytes.Equal(response, request) {
			f.Errorf("Call with %d bytes: %d came back, error %v", size, len(response), err)
		}
	}
	if response, err := f.a.Call(f.ctx, nodeB, "size", nil); err != nil || len(response) != 0 {
		f.Errorf("Call with nil = %q, %v", response, err)
	}
}

func callCopies(f *fixture) {
	shared := []byte("answer")
	var mu sync.Mutex
	var seen []byte // kept against the rules, to find out whose it is
	f.joinWith(f.b, nodeB, &handler{call: func(_ context.Context, _ string, request []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		seen = request
		return shared, nil
	}})
	f.join(f.a, nodeA)
	for _, c := range []hub.Cluster{f.a, f.b} {
		request := []byte("question")
		response, err := c.Call(f.ctx, nodeB, "copies", request)
		if err != nil {
			f.Fatalf("Call: %v", err)
		}
		request[0], response[0] = '!', '!'
		mu.Lock()
		if string(seen) != "question" || string(shared) != "answer" {
			f.Errorf("bytes of the caller and of the handler are the same: %q, %q", seen, shared)
		}
		mu.Unlock()
	}
}

func callErrors(f *fixture) {
	cause := errors.New("a secret of the node")
	tests := []struct {
		name string
		err  error
		want hubward.Error
	}{
		{
			"coded", hubward.Errorf(hubward.CodeDeviceNotOnline, "device %s is not there: 50 %% ü", "d1"),
			hubward.Error{Code: hubward.CodeDeviceNotOnline, Message: "device d1 is not there: 50 % ü"},
		},
		{
			"without message", hubward.Wrap(hubward.CodePreconditionFailed, "hub.Op", cause),
			hubward.Error{Code: hubward.CodePreconditionFailed},
		},
		{
			"with all fields",
			&hubward.Error{Code: hubward.CodeThrottled, Op: "hub.Op", Identity: d1, Message: "slow down\nplease", Err: cause},
			hubward.Error{Code: hubward.CodeThrottled, Message: "slow down\nplease"},
		},
		{
			"wrapped", fmt.Errorf("outside: %w", hubward.Errorf(hubward.CodeNoSuchPartition, "no partition 7")),
			hubward.Error{Code: hubward.CodeNoSuchPartition, Message: "no partition 7"},
		},
		{"without code", cause, hubward.Error{Code: hubward.CodeServerError}},
		{"of a code unknown here", hubward.Errorf(418001, "teapot"), hubward.Error{Code: 418001, Message: "teapot"}},
	}
	fails := func(_ context.Context, subject string, _ []byte) ([]byte, error) {
		i, err := strconv.Atoi(subject)
		if err != nil {
			return nil, err
		}
		return []byte("ignored"), tests[i].err
	}
	f.join(f.a, nodeA)
	f.joinWith(f.b, nodeB, &handler{call: fails})
	for i, test := range tests {
		for _, c := range []hub.Cluster{f.a, f.b} {
			response, err := c.Call(f.ctx, nodeB, strconv.Itoa(i), nil)
			var got *hubward.Error
			if !errors.As(err, &got) || response != nil {
				f.Errorf("%s: Call = %q, %v", test.name, response, err)
				continue
			}
			if diff := cmp.Diff(test.want, *got); diff != "" {
				f.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
			if errors.Is(err, cause) {
				f.Errorf("%s: the cause crossed the bus", test.name)
			}
		}
	}
}

func callNobody(f *fixture) {
	leave, _ := f.joinBoth()
	_, err := f.b.Call(f.ctx, "stranger", "x", nil)
	f.code("a call to a node that never joined", err, hubward.CodeServiceUnavailable)
	leave()
	_, err = f.b.Call(f.ctx, nodeA, "x", nil)
	f.code("a call to a node that left", err, hubward.CodeServiceUnavailable)
}

func callContext(f *fixture) {
	over := make(chan struct{})
	begun := make(chan struct{}, 1)
	var calls atomic.Int32
	f.join(f.a, nodeA)
	f.joinWith(f.b, nodeB, &handler{call: func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
		calls.Add(1)
		begun <- struct{}{}
		select { // ctx need not end when the caller's does
		case <-ctx.Done():
		case <-over:
		}
		return nil, hubward.Errorf(hubward.CodeRequestTimeout, "the handler gave up")
	}})
	f.Cleanup(func() { close(over) })

	ended, cancel := context.WithCancel(f.ctx)
	cancel()
	if _, err := f.a.Call(ended, nodeB, "x", nil); !errors.Is(err, context.Canceled) {
		f.Errorf("Call with an ended context: %v", err)
	}
	if err := f.a.Announce(ended, "x", nil); !errors.Is(err, context.Canceled) {
		f.Errorf("Announce with an ended context: %v", err)
	}
	if _, err := f.a.Join(ended, "late", &handler{}); !errors.Is(err, context.Canceled) {
		f.Errorf("Join with an ended context: %v", err)
	}
	if calls.Load() != 0 {
		f.Error("a call with an ended context was made")
	}

	canceled, cancel := context.WithCancel(f.ctx)
	defer cancel()
	go func() {
		<-begun
		cancel()
	}()
	if _, err := f.a.Call(canceled, nodeB, "x", nil); !errors.Is(err, context.Canceled) {
		f.Errorf("Call whose context was canceled: %v", err)
	}
	short, cancel := context.WithTimeout(f.ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := f.a.Call(short, nodeB, "x", nil); !errors.Is(err, context.DeadlineExceeded) {
		f.Errorf("Call whose deadline passed: %v", err)
	}
}

// callNested asks a, which asks b, which asks itself, which asks a.
func callNested(f *fixture) {
	f.joinWith(f.a, nodeA, &handler{call: func(ctx context.Context, subject string, request []byte) ([]byte, error) {
		if subject == "first" {
			return f.a.Call(ctx, nodeB, "second", append(request, 'a'))
		}
		return append(request, '!'), nil
	}})
	f.joinWith(f.b, nodeB, &handler{call: func(ctx context.Context, subject string, request []byte) ([]byte, error) {
		if subject == "second" {
			return f.b.Call(ctx, nodeB, "third", append(request, 'b'))
		}
		if _, _, err := f.b.Claim(ctx, hubName, d1, nodeB); err != nil {
			return nil, err
		}
		return f.b.Call(ctx, nodeA, "fourth", append(request, 'b'))
	}})
	response, err := f.b.Call(f.ctx, nodeA, "first", []byte(">"))
	if err != nil || string(response) != ">abb!" {
		f.Errorf("Call = %q, %v", response, err)
	}
	owner, err := f.a.Owner(f.ctx, hubName, d1)
	if err != nil || owner == nil || owner.Node != nodeB {
		f.Errorf("what the handler claimed: %+v, %v", owner, err)
	}
}

func callConcurrent(f *fixture) {
	f.joinWith(f.a, nodeA, &handler{call: echo})
	f.joinWith(f.b, nodeB, &handler{call: echo})
	var wg sync.WaitGroup
	for g := range 8 {
		c, node := f.a, nodeB
		if g%2 == 1 {
			c, node = f.b, nodeA
		}
		wg.Go(func() {
			for i := range 50 {
				f.answers(c, node, fmt.Sprint(g), fmt.Sprint(i))
			}
		})
	}
	wg.Wait()
}

func announceAll(f *fixture) {
	var toldA, toldB notes
	f.joinWith(f.a, nodeA, &handler{told: toldA.add})
	f.joinWith(f.b, nodeB, &handler{told: toldB.add})
	for i, c := range []hub.Cluster{f.a, f.b} {
		message := []byte(fmt.Sprint("m", i))
		if err := c.Announce(f.ctx, "config.*", message); err != nil {
			f.Fatalf("Announce: %v", err)
		}
		text := "config.*:" + string(message)
		message[0] = '!'
		f.eventually("both nodes are told", func() bool { return toldA.count(text) == 1 && toldB.count(text) == 1 })
	}
}

func announceNested(f *fixture) {
	var toldA notes
	f.joinWith(f.a, nodeA, &handler{told: toldA.add})
	f.joinWith(f.b, nodeB, &handler{call: func(ctx context.Context, subject string, request []byte) ([]byte, error) {
		return nil, f.b.Announce(ctx, subject, request)
	}})
	if _, err := f.a.Call(f.ctx, nodeB, "tell", []byte("all")); err != nil {
		f.Fatalf("Call: %v", err)
	}
	f.eventually("the caller is told", func() bool { return toldA.count("tell:all") == 1 })
}

func leaveWaits(f *fixture) {
	begun, over, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var finished atomic.Bool
	f.join(f.a, nodeA)
	leave := f.joinWith(f.b, nodeB, &handler{call: func(ctx context.Context, subject string, _ []byte) ([]byte, error) {
		if subject == "short" {
			return nil, nil
		}
		close(begun)
		<-over
		_, _, err := f.b.Claim(ctx, hubName, d1, nodeB)
		finished.Store(true)
		return []byte("answer"), err
	}})
	finish := sync.OnceFunc(func() { close(over) })
	var wg sync.WaitGroup
	defer wg.Wait()
	defer finish()
	wg.Go(func() {
		response, err := f.a.Call(f.ctx, nodeB, "long", nil)
		if err != nil || string(response) != "answer" {
			f.Errorf("a call that had begun = %q, %v", response, err)
		}
	})
	f.closed("the call begins", begun)
	wg.Go(func() {
		leave()
		if !finished.Load() {
			f.Error("leave did not wait for the call")
		}
		close(left)
	})
	f.eventually("no call gets in any more", func() bool {
		_, err := f.a.Call(f.ctx, nodeB, "short", nil)
		return err != nil && hubward.CodeOf(err) == hubward.CodeServiceUnavailable
	})
	f.open("leave returned during a call", left)
	finish()
	f.closed("leave returns", left)
	f.nobody(f.a, d1)
}

func leaveFrees(f *fixture) {
	var told notes
	_, leave := f.join(f.a, nodeA), f.joinWith(f.b, nodeB, &handler{told: told.add})
	module := hubward.Identity{Device: "d1", Module: "m"}
	kept, _ := f.claim(f.a, nodeA, hubward.Identity{Device: "d1", Module: "kept"})
	f.claim(f.b, nodeB, d1)
	f.claim(f.b, nodeB, module)
	f.claim(f.b, nodeB, hubward.Identity{Device: "d2"})
	other, _ := f.claim(f.a, nodeA, hubward.Identity{Device: "d3"})
	f.claim(f.b, nodeB, other.Identity)
	newest, _ := f.claim(f.a, nodeA, other.Identity)
	keptLease, lease := f.lease(f.a, "kept", nodeA), f.lease(f.b, "job", nodeB)
	f.count(hubName, 3)

	leave()
	f.nobody(f.a, d1)
	f.nobody(f.a, module)
	f.count(hubName, 1)
	f.owners("d1", kept)
	f.owners("d2")
	f.owner(other.Identity, &newest)
	f.closed("the lease of who left ends", lease.Ended)
	f.open("the lease of who stayed ended", keptLease.Ended)
	if next := f.lease(f.a, "job", nodeA); next.Holder != nodeA || next.Number <= lease.Number {
		f.Errorf("the lease of who left goes on as %+v after %+v", next, lease)
	}
	if _, displaced := f.claim(f.a, nodeA, d1); displaced != nil {
		f.Errorf("a claim displaced %+v, whose node had left", displaced)
	}
	if err := f.a.Announce(f.ctx, "x", nil); err != nil || told.count("x:") != 0 {
		f.Errorf("Announce: %v; who left was told %d times", err, told.count("x:"))
	}
}

func leaveTwice(f *fixture) {
	leave := f.join(f.a, nodeA)
	f.joinWith(f.b, nodeB, &handler{call: echo})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(leave)
	}
	wg.Wait()
	leave()
	claim, _ := f.claim(f.b, nodeB, d1)
	leave()
	f.answers(f.b, nodeB, "x", "y")
	owner, err := f.b.Owner(f.ctx, hubName, d1)
	if diff := cmp.Diff(&claim, owner); err != nil || diff != "" {
		f.Errorf("Owner: %v (-want +got):\n%s", err, diff)
	}
}
