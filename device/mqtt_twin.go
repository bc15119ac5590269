package device

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/hubward/hubward/internal/mqttwire"
)

// The topics of twins.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub, retrieving a device twin's properties.
const (
	twinGetTopic     = "$iothub/twin/GET/?$rid="
	twinPatchTopic   = "$iothub/twin/PATCH/properties/reported/?$rid="
	twinAnswerPrefix = "$iothub/twin/res/"
	desiredPrefix    = "$iothub/twin/PATCH/properties/desired/"
)

// flushTwin writes requests that are not sent, once the hub has taken the subscription to the answers.
func (cn *mqttConn) flushTwin() (err error) {
	if !cn.subscriptions.has(feedTwin) {
		return nil
	}
	for {
		cn.out = cn.out[:0]
		for len(cn.out) < batchSize {
			call := cn.client.twin.next()
			if call == nil {
				break
			}
			packet := mqttwire.PublishPacket{Topic: []byte(twinGetTopic + call.id), Payload: call.patch}
			if call.patch != nil {
				packet.Topic = []byte(twinPatchTopic + call.id)
			}
			if cn.out, err = mqttwire.AppendPublish(cn.out, &packet); err != nil {
				return err
			}
		}
		if len(cn.out) == 0 {
			return nil
		}
		if err := cn.write(cn.out); err != nil {
			return err
		}
	}
}

// twinAnswer takes the answer to a request. It reports false when it cannot be read.
func (cn *mqttConn) twinAnswer(topic string, p *mqttwire.PublishPacket) bool {
	cn.acknowledge(p)
	status, id, version, ok := readAnswerTopic(twinAnswerPrefix, topic)
	if !ok {
		return false
	}
	a := twinAnswer{body: bytes.Clone(p.Payload), version: version}
	if status/100 != 2 {
		a.err = refusedTwinCall(status, p.Payload)
	}
	cn.useful.Store(true)
	cn.client.twin.settle(id, a)
	cn.client.nudge() // the writer may wait for the last answer
	return true
}

// acknowledge has a message acknowledged, if it asks for that: then it is due to an older subscription, of another program.
func (cn *mqttConn) acknowledge(p *mqttwire.PublishPacket) {
	if p.QoS > 0 {
		cn.c2d.acknowledge(p.ID)
		cn.client.nudge()
	}
}

// readAnswerTopic reads the topic of an answer, "{prefix}{status}/?$rid={id}&$version={n}".
func readAnswerTopic(prefix, topic string) (status int, id string, version int64, ok bool) {
	path, query, _ := strings.Cut(strings.TrimPrefix(topic, prefix), "/?")
	status, err := strconv.Atoi(path)
	if err != nil || status < 100 || status > 999 {
		return 0, "", 0, false
	}
	for pair := range strings.SplitSeq(query, "&") {
		switch name, value, _ := strings.Cut(pair, "="); name {
		case "$rid":
			id = value
		case "$version":
			version, _ = strconv.ParseInt(value, 10, 64) // 0: the hub has not told
		}
	}
	return status, id, version, id != ""
}
