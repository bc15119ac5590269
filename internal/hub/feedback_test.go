package hub_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// record is a feedback record without what is the same in all of them.
type record struct {
	message string
	status  hubward.FeedbackStatus
}

func recordsOf(t *testing.T, b *hub.NotificationDelivery) (records []record) {
	t.Helper()
	for _, f := range b.Feedback {
		if f.Description != string(f.StatusCode) || f.DeviceID == "" || f.DeviceGenerationID == "" || f.EnqueuedTime.IsZero() {
			t.Errorf("record %+v", f)
		}
		records = append(records, record{f.OriginalMessageID, f.StatusCode})
	}
	return records
}

// wantFeedback takes and completes the next feedback message, which has to have these records.
func (p *plant) wantFeedback(want ...record) {
	p.t.Helper()
	synctest.Wait()
	b, err := p.TakeFeedback(p.t.Context(), "plant")
	if err != nil || b == nil {
		p.t.Fatalf("feedback %+v, %v", b, err)
	}
	if diff := cmp.Diff(want, recordsOf(p.t, b), cmp.AllowUnexported(record{})); diff != "" {
		p.t.Errorf("feedback (-want +got):\n%s", diff)
	}
	if err := p.SettleFeedback(p.t.Context(), "plant", b.LockToken, hub.C2DComplete); err != nil {
		p.t.Error(err)
	}
}

func (p *plant) wantNoFeedback() {
	p.t.Helper()
	synctest.Wait()
	b, err := p.TakeFeedback(p.t.Context(), "plant")
	if err != nil || b != nil {
		p.t.Fatalf("feedback %+v, %v, want none", b, err)
	}
}

// finish sends messages and completes them.
func (p *plant) finish(device string, names ...string) {
	p.t.Helper()
	for _, name := range names {
		p.send(device, name)
		d := p.poll(device)
		if err := p.SettleC2D(p.t.Context(), "plant", device, d.LockToken, hub.C2DComplete); err != nil {
			p.t.Fatal(err)
		}
	}
}

func TestFeedback_body(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		d := p.device("d'1")
		p.finish("d'1", "m <&> \u00fc \U0001f600 \x7f")
		synctest.Wait()
		b, err := p.TakeFeedback(t.Context(), "plant")
		if err != nil {
			t.Fatal(err)
		}
		want := `[{"originalMessageId":"m <&> \u00fc \ud83d\ude00 \u007f","deviceGenerationId":"` + d.GenerationID +
			`","deviceId":"d'1","enqueuedTimeUtc":"2000-01-01T00:00:00.0000000Z","statusCode":"Success","description":"Success"}]`
		body, err := hubward.AppendFeedback(nil, b.Feedback)
		if err != nil || string(body) != want {
			t.Errorf("body\n%s, %v, want\n%s", body, err, want)
		}
		if len(b.ID) != 36 || len(b.LockToken) != 36 || b.ID == b.LockToken || !b.Enqueued.Equal(time.Now()) || b.DeliveryCount != 0 {
			t.Errorf("batch %+v", b)
		}
	})
}

// The first record leaves at once, the next ones 15 s after that.
func TestFeedback_byTime(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		p.device("d")
		p.finish("d", "1")
		p.wantFeedback(record{"1", hubward.FeedbackSuccess})
		p.finish("d", "2")
		time.Sleep(10 * time.Second)
		p.finish("d", "3")
		p.wantNoFeedback()
		time.Sleep(5*time.Second - 1)
		p.wantNoFeedback()
		time.Sleep(time.Nanosecond)
		p.wantFeedback(record{"2", hubward.FeedbackSuccess}, record{"3", hubward.FeedbackSuccess})
		time.Sleep(time.Hour)
		p.finish("d", "4")
		p.wantFeedback(record{"4", hubward.FeedbackSuccess})
	})
}

func TestFeedback_byCount(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		p.device("d")
		p.finish("d", "first")
		p.wantFeedback(record{"first", hubward.FeedbackSuccess})
		var want []record
		for i := range 63 {
			name := fmt.Sprint(i)
			p.finish("d", name)
			want = append(want, record{name, hubward.FeedbackSuccess})
		}
		p.wantNoFeedback()
		p.finish("d", "last")
		p.wantFeedback(append(want, record{"last", hubward.FeedbackSuccess})...)
		p.finish("d", "next")
		p.wantNoFeedback()
		time.Sleep(15 * time.Second)
		p.wantFeedback(record{"next", hubward.FeedbackSuccess})
	})
}

// A purge of many queues at once makes several messages.
func TestFeedback_moreThanOneBatch(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		for i := range 4 {
			device := fmt.Sprint("d", i)
			p.device(device)
			for j := range 50 {
				p.send(device, fmt.Sprint(j))
			}
		}
		for i := range 4 {
			if _, err := p.PurgeC2D(t.Context(), "plant", fmt.Sprint("d", i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(15 * time.Second)
		total := 0
		for {
			synctest.Wait()
			b, err := p.TakeFeedback(t.Context(), "plant")
			if err != nil {
				t.Fatal(err)
			}
			if b == nil {
				break
			}
			n := len(recordsOf(t, b))
			if total += n; n > 64 {
				t.Errorf("%d records in a message", n)
			}
		}
		if total != 200 {
			t.Errorf("%d records, want 200", total)
		}
	})
}

func TestFeedback_lockAndOutcomes(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		change := hub.HubChange{C2D: hub.C2DSettings{FeedbackLock: 10 * time.Second, FeedbackMaxDeliveryCount: 2}}
		if _, err := p.UpdateHub(t.Context(), "plant", change); err != nil {
			t.Fatal(err)
		}
		p.device("d")
		p.finish("d", "1")
		take := func(count int) *hub.NotificationDelivery {
			t.Helper()
			synctest.Wait()
			b, err := p.TakeFeedback(t.Context(), "plant")
			if err != nil || b == nil || b.DeliveryCount != count {
				t.Fatalf("feedback %+v, %v, want count %d", b, err, count)
			}
			return b
		}
		settle := func(b *hub.NotificationDelivery, o hub.C2DOutcome) error {
			return p.SettleFeedback(t.Context(), "plant", b.LockToken, o)
		}
		first := take(0)
		time.Sleep(10*time.Second - 1)
		p.wantNoFeedback()
		time.Sleep(time.Nanosecond)
		wantCode(t, "settled late", settle(first, hub.C2DComplete), hubward.CodeDeviceMessageLockLost)
		second := take(0)
		if second.ID != first.ID || second.LockToken == first.LockToken {
			t.Errorf("second delivery %+v", second)
		}
		if err := settle(second, hub.C2DReturn); err != nil {
			t.Error(err)
		}
		if err := settle(take(0), hub.C2DAbandon); err != nil {
			t.Error(err)
		}
		if err := settle(take(1), hub.C2DAbandon); err != nil {
			t.Error(err)
		}
		p.wantNoFeedback() // abandoned as often as may be
		time.Sleep(time.Minute)
		p.finish("d", "2")
		last := take(0)
		if err := settle(last, hub.C2DReject); err != nil {
			t.Error(err)
		}
		wantCode(t, "settled again", settle(last, hub.C2DComplete), hubward.CodeDeviceMessageLockLost)
		time.Sleep(time.Minute)
		p.wantNoFeedback()
	})
}

func TestFeedback_expires(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		p.device("d")
		p.finish("d", "1")
		time.Sleep(time.Hour - 1)
		b, err := p.TakeFeedback(t.Context(), "plant")
		if err != nil || b == nil {
			t.Fatalf("%+v, %v", b, err)
		}
		if err := p.SettleFeedback(t.Context(), "plant", b.LockToken, hub.C2DReturn); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Nanosecond)
		p.wantNoFeedback()
	})
}

// Several wait; each message wakes one of them, and so does the end of a lock.
func TestWaitFeedback(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		p.device("d")
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan *hub.NotificationDelivery, 9)
		ended := make(chan error, 3)
		for range 3 {
			go func() {
				for {
					b, err := p.WaitFeedback(ctx, "plant")
					if err != nil {
						ended <- err
						return
					}
					got <- b
				}
			}()
		}
		synctest.Wait()
		start := time.Now()
		p.finish("d", "1")
		b := <-got
		if !time.Now().Equal(start) {
			t.Errorf("the message took %s", time.Since(start))
		}
		again := <-got
		if again.ID != b.ID || time.Since(start) != time.Minute {
			t.Errorf("after %s: %+v", time.Since(start), again)
		}
		if err := p.SettleFeedback(ctx, "plant", again.LockToken, hub.C2DAbandon); err != nil {
			t.Fatal(err)
		}
		again = <-got
		if again.DeliveryCount != 1 || time.Since(start) != time.Minute {
			t.Errorf("after %s: %+v", time.Since(start), again)
		}
		if err := p.SettleFeedback(ctx, "plant", again.LockToken, hub.C2DComplete); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(got) != 0 {
			t.Errorf("%d more", len(got))
		}
		cancel()
		for range 3 {
			if err := <-ended; err != context.Canceled {
				t.Error(err)
			}
		}
	})
}

func TestWaitFeedback_hubDeleted(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		time.Sleep(time.Second) // the oldest hub is the first one
		if _, err := p.CreateHub(t.Context(), hub.NewHub{Name: "other"}); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			_, err := p.WaitFeedback(t.Context(), "other")
			ended <- err
		}()
		synctest.Wait()
		if err := p.DeleteHub(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		wantCode(t, "WaitFeedback", <-ended, hubward.CodeNoSuchHub)
		_, err := p.TakeFeedback(t.Context(), "other")
		wantCode(t, "TakeFeedback", err, hubward.CodeNoSuchHub)
	})
}

// Records that an earlier process left are batched by the next one.
func TestFeedback_restart(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		p.device("d")
		p.finish("d", "1")
		synctest.Wait() // it leaves at once, in a batch of its own
		p.finish("d", "2")
		synctest.Wait()
		p.restart()
		p.wantFeedback(record{"1", hubward.FeedbackSuccess})
		p.wantFeedback(record{"2", hubward.FeedbackSuccess})
	})
}
