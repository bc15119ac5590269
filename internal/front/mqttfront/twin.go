package mqttfront

import (
	"context"
	"math"
	"strconv"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/number"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/mqttwire"
)

// Topics of twins, each up to what differs.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub, retrieving device twin properties, updating reported
// properties, receiving desired properties update notifications.
const (
	twinAnswers   = "$iothub/twin/res/"
	desiredTopics = "$iothub/twin/PATCH/properties/desired/"
)

// getTwin acts on $iothub/twin/GET/?$rid={id}, whatever its body.
func (s *session) getTwin(p *publication) error {
	q := readQuery(p.rest)
	r, ok := s.conn.out.begin(p.ID, twinWeight)
	if !ok {
		return s.conn.closed()
	}
	s.link.GetTwin(s.conn.ctx, func(document []byte, err error) {
		if err != nil {
			s.fail(r, q, twinAnswers, err)
			return
		}
		s.answer(r, q, twinAnswers+"200/?$rid="+q.rid, document)
	})
	return nil
}

// updateReported acts on $iothub/twin/PATCH/properties/reported/?$rid={id}[&$version={n}]. PUBACK and answer follow when the
// change is durable.
func (s *session) updateReported(p *publication) error {
	q := readQuery(p.rest)
	r, ok := s.conn.out.begin(p.ID, 1)
	if !ok {
		return s.conn.closed()
	}
	ifVersion, err := q.ifVersion()
	if err != nil {
		s.fail(r, q, twinAnswers, err)
		return nil
	}
	s.link.UpdateReported(s.conn.ctx, p.Payload, ifVersion, func(version int64, err error) {
		if err != nil {
			s.fail(r, q, twinAnswers, err)
			return
		}
		s.answer(r, q, twinAnswers+"204/?$rid="+q.rid+"&$version="+strconv.FormatInt(version, 10), nil)
	})
	return nil
}

// ifVersion returns the version that a request wants the properties to have, 0 for any. Languages without integers print
// 3.0 and 1e2.
func (q *query) ifVersion() (int64, error) {
	if !q.ifMatch {
		return 0, nil
	}
	n, ok := number.Parse(q.version)
	if !ok || n < 1 || n > number.MaxExact || n != math.Trunc(n) {
		return 0, errVersion
	}
	return int64(n), nil
}

var errVersion = hubward.Errorf(hubward.CodeArgumentInvalid, "$version is no whole number from 1 on")

// followDesired begins or ends to tell the device of changes of its desired properties, as its subscriptions say.
func (s *session) followDesired(ctx context.Context) error {
	_, wanted := s.listens(desiredTopics + anyBag)
	switch {
	case wanted && !s.desired:
		if err := s.link.FollowDesired(ctx); err != nil {
			return err
		}
	case s.desired && !wanted:
		s.link.UnfollowDesired()
	}
	s.desired = wanted
	return nil
}

// desiredChanged tells the device of a change of its desired properties, at QoS 0: who misses one finds it in the twin.
func (s *session) desiredChanged(d *hub.DesiredChange) {
	topic := desiredTopics + "?$version=" + strconv.FormatInt(d.Version, 10)
	packet, err := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{Topic: []byte(topic), Payload: d.Patch})
	if err != nil {
		s.conn.Close(err) // it cannot be: no patch is so long
		return
	}
	s.ifListening(desiredTopics+anyBag, func() { s.conn.out.push(packet, d.Sent) })
}
