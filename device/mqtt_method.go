package device

import (
	"bytes"
	"strconv"
	"strings"
	"sync"

	"github.com/hubward/hubward/internal/mqttwire"
)

// The topics of direct methods.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub, responding to a direct method.
const (
	methodPrefix      = "$iothub/methods/POST/"
	methodAnswerTopic = "$iothub/methods/res/"
)

// method takes a call. It reports false when it cannot be read.
func (cn *mqttConn) method(topic string, p *mqttwire.PublishPacket) bool {
	cn.acknowledge(p)
	name, id, ok := readMethodTopic(topic)
	if !ok {
		return false
	}
	cn.client.call(&methodCall{
		MethodRequest: MethodRequest{Name: name, Payload: bytes.Clone(p.Payload)},
		answer: func(status int, payload []byte, written func()) {
			topic := methodAnswerTopic + strconv.Itoa(status) + "/?$rid=" + id
			cn.answers.put(mqttAnswer{mqttwire.PublishPacket{Topic: []byte(topic), Payload: payload}, written})
			cn.client.nudge()
		},
		lost: cn.answers.ended,
	})
	return true
}

// readMethodTopic reads the topic of a call, "$iothub/methods/POST/{name}/?$rid={id}". The name stands in it as it is.
func readMethodTopic(topic string) (name, id string, ok bool) {
	rest := strings.TrimPrefix(topic, methodPrefix)
	i := strings.LastIndex(rest, "/?$rid=")
	if i <= 0 {
		return "", "", false
	}
	id, _, _ = strings.Cut(rest[i+len("/?$rid="):], "&")
	return rest[:i], id, id != ""
}

// maxMQTTAnswers bounds the answers that are to be written: so many calls are under way at most.
const maxMQTTAnswers = maxWaitingMethods + maxMaxMethods

// mqttAnswers are the answers to direct methods that are to be written on one connection.
type mqttAnswers struct {
	mu    sync.Mutex // guards the fields below; a leaf
	queue []mqttAnswer
	over  bool // the connection has ended
}

// mqttAnswer is one of them.
type mqttAnswer struct {
	packet  mqttwire.PublishPacket
	written func()
}

// put adds an answer. When it cannot be written any more, it is dropped: the hub has told the caller.
func (a *mqttAnswers) put(answer mqttAnswer) {
	a.mu.Lock()
	dropped := a.over || len(a.queue) >= maxMQTTAnswers
	if !dropped {
		a.queue = append(a.queue, answer)
	}
	a.mu.Unlock()
	if dropped {
		answer.written()
	}
}

func (a *mqttAnswers) take() []mqttAnswer {
	a.mu.Lock()
	defer a.mu.Unlock()
	queue := a.queue
	a.queue = nil
	return queue
}

// ended reports whether the connection has ended.
func (a *mqttAnswers) ended() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.over
}

// end drops what is not written, and what comes later.
func (a *mqttAnswers) end() {
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
	for _, answer := range a.take() {
		answer.written()
	}
}

// flushAnswers writes the answers that are due.
func (cn *mqttConn) flushAnswers() (err error) {
	for _, answer := range cn.answers.take() {
		if err == nil {
			if cn.out, err = mqttwire.AppendPublish(cn.out[:0], &answer.packet); err == nil {
				err = cn.write(cn.out)
			}
		}
		answer.written()
	}
	return err
}
