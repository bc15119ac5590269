package device

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/hubward/hubward"
)

// SendToOutput sends m by an output of a module. Behind an Azure IoT Edge hub, its routes say what that leads to: another
// module's input, or telemetry; a hub that is dialled without one between takes it as telemetry with that name of its output, on
// which routes can look. Otherwise it is SendTelemetry.
//
// Errors: CodeInvalidOperation for a device, which has no outputs; CodeArgumentInvalid for no name; those of SendTelemetry.
//
// Source: learn.microsoft.com/azure/iot-edge/module-composition, declare routes.
func (c *Client) SendToOutput(ctx context.Context, output string, m *hubward.Message) error {
	switch {
	case c.account.identity.Module == "":
		return errNoModule("outputs")
	case output == "":
		return hubward.Errorf(hubward.CodeArgumentInvalid, "SendToOutput needs the name of an output")
	}
	named := *m
	named.OutputName = output
	return c.SendTelemetry(ctx, &named)
}

// InputMessage is a message that an Azure IoT Edge hub has routed to an input of the module.
type InputMessage struct {
	hubward.Message
	Input string // its name

	// Who has sent it, as far as the Edge hub tells. SenderModule is empty for a device.
	SenderDevice, SenderModule string
}

// InputHandler takes a message to an input. What it returns settles the message: nil completes it, ErrReject rejects it, any other
// error gives it back, as with Options.OnMessage; over MQTT, a message with an error is left to the Edge hub, which sends it
// again on the next connection.
type InputHandler func(ctx context.Context, m *InputMessage) error

// OnInput has a function called with each message to the module's input of that name. The empty name stands for all inputs
// that have no handler of their own; a message to an input that nobody handles is completed, and logged. It may be called before
// Connect, and is best then.
//
// Only an Azure IoT Edge hub sends such messages: the connection string of the module names it as GatewayHostName. A hub that is
// dialled without one between sends none.
//
// Handlers are called one after another, in the order of the messages, on a goroutine of the client. ctx ends with the client.
// They must not call Close or Drain, and do not return to the client by a panic, which ends the program.
//
// Errors: CodeInvalidOperation for a device, which has no inputs, over HTTPS, and when the input has a handler already.
//
// Source: Azure/azure-iot-sdk-python azure-iot-device/azure/iot/device/iothub/pipeline/mqtt_topic_iothub.py.
func (c *Client) OnInput(input string, handler InputHandler) error {
	switch {
	case c.account.identity.Module == "":
		return errNoModule("inputs")
	case c.opts.Protocol == HTTPS:
		return hubward.Errorf(hubward.CodeInvalidOperation, "inputs need MQTT or AMQP, HTTPS has none: see Options.Protocol")
	case handler == nil:
		return hubward.Errorf(hubward.CodeArgumentInvalid, "OnInput needs a function")
	}
	if !c.inputs.handle(input, handler) {
		return hubward.Errorf(hubward.CodeInvalidOperation, "there is a handler of input %q already", input)
	}
	if up, _ := c.running(); up {
		c.startInputs()
	}
	return nil
}

func errNoModule(what string) error {
	return hubward.Errorf(hubward.CodeInvalidOperation, "only a module has %s: the connection string needs a ModuleId", what)
}

// inputs are the handlers of a module's inputs.
type inputs struct {
	mu       sync.Mutex // guards the fields below; a leaf
	handlers map[string]InputHandler
	taking   bool // its goroutine is started
}

// handle sets a handler. It reports false when there is one.
func (i *inputs) handle(input string, handler InputHandler) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.handlers[input] != nil {
		return false
	}
	if i.handlers == nil {
		i.handlers = make(map[string]InputHandler)
	}
	i.handlers[input] = handler
	return true
}

// begin reports true once: when there is a handler and no goroutine for it.
func (i *inputs) begin() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.handlers) == 0 || i.taking {
		return false
	}
	i.taking = true
	return true
}

// handler returns what handles an input, nil when there is nothing.
func (i *inputs) handler(input string) InputHandler {
	i.mu.Lock()
	defer i.mu.Unlock()
	if h := i.handlers[input]; h != nil {
		return h
	}
	return i.handlers[""]
}

// startInputs starts the goroutine that calls the handlers, if there are any.
func (c *Client) startInputs() {
	if c.inputs.begin() && c.handlers.start() {
		go c.takeInputs() // ends with c.taking, and with it c.handlers, which Close waits for
	}
}

func (c *Client) takeInputs() {
	defer c.handlers.end()
	for {
		m, err := c.next(c.taking)
		if err != nil {
			return
		}
		handle := c.inputs.handler(m.input)
		if handle == nil { // left unsettled, such messages would use up what the Edge hub has under way at a time
			c.log.Warn("device client completes a message to an input that nobody handles", "input", m.input)
			handle = func(context.Context, *InputMessage) error { return nil }
		}
		c.settleBy(m, handle(c.life, &InputMessage{
			Message: m.Message, Input: m.input, SenderDevice: m.sender.Device, SenderModule: m.sender.Module,
		}))
	}
}

// inputPrefix begins the topics of messages to a module's inputs; then come the input and the property bag.
//
// Source: Azure/azure-iot-sdk-python azure-iot-device/azure/iot/device/iothub/pipeline/mqtt_topic_iothub.py.
func inputPrefix(id hubward.Identity) string {
	return "devices/" + id.Device + "/modules/" + id.Module + "/inputs/"
}

// inputMessage returns the message that came on a topic, without its body, or false when that is not a topic of an input.
func inputMessage(id hubward.Identity, topic string) (*C2DMessage, bool) {
	rest, ok := strings.CutPrefix(topic, inputPrefix(id))
	if !ok {
		return nil, false
	}
	input, bag, _ := strings.Cut(rest, "/")
	if name, err := url.PathUnescape(input); err == nil {
		input = name
	}
	m := &C2DMessage{Message: *readBag(bag), input: input}
	m.sender.Device, _ = m.Properties.Get("$.cdid")
	m.sender.Module, _ = m.Properties.Get("$.cmid")
	m.Properties = slices.DeleteFunc(m.Properties, func(p hubward.Property) bool { return p.Name == "$.cdid" || p.Name == "$.cmid" })
	return m, input != ""
}
