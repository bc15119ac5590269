package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/service"
)

// quickstartBody is the message that the device of the tour gets.
const quickstartBody = `{"fan":"on"}`

// command sends the device a message, has the device complete it, and prints what the hub tells about it. A hub that has told
// nobody anything for 15 seconds tells at once. The end of ctx is no failure.
func (t *tour) command(ctx context.Context, c *device.Client) error {
	ctx, cancel := context.WithTimeout(ctx, quickstartWait)
	defer cancel()
	err := t.roundTrip(ctx, c)
	if ctx.Err() == context.Canceled { // Ctrl-C
		return nil
	}
	return err
}

func (t *tour) roundTrip(ctx context.Context, c *device.Client) error {
	sent := time.Now()
	m := &hubward.Message{MessageID: rand.Text(), Ack: hubward.AckFull, ContentType: "application/json", Body: []byte(quickstartBody)}
	if err := t.client.SendC2D(ctx, quickstartDevice, m); err != nil {
		return err
	}
	fmt.Fprintf(t.env.Stdout, "\nback end  sends %s the message %s\n", quickstartDevice, quickstartBody)
	for {
		got, err := c.Receive(ctx)
		if err != nil {
			return err
		}
		if err := got.Complete(ctx); err != nil {
			return err
		}
		if got.MessageID == m.MessageID { // others are of an earlier tour in this folder
			fmt.Fprintf(t.env.Stdout, "device    got %s over MQTT, and completes it\n", printable(string(got.Body)))
			break
		}
	}
	for f, err := range t.client.Feedback(ctx, service.FeedbackOptions{}) {
		if err != nil {
			return err
		}
		if f.OriginalMessageID == m.MessageID {
			fmt.Fprintf(t.env.Stdout, "hub       tells the back end after %s: %s\n", time.Since(sent).Round(time.Millisecond), f.StatusCode)
			return nil
		}
	}
	return nil
}
