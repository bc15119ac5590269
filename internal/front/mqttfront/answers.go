package mqttfront

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/errorbody"
	"github.com/hubward/hubward/internal/mqttwire"
)

// query is what stands behind the last slash of a request's topic.
type query struct {
	rid     string // opaque: the client wants to find it in the answer
	asks    bool   // there is a rid, so there is an answer
	version string // of $version
	ifMatch bool   // there is a $version
}

// readQuery reads ?$rid={rid}&$version={n}, in any order, the first of each. It keeps nothing of text.
func readQuery(text []byte) (q query) {
	text = bytes.TrimPrefix(text, []byte("?"))
	for part := range bytes.SplitSeq(text, []byte("&")) {
		if rid, ok := bytes.CutPrefix(part, []byte("$rid=")); ok && !q.asks {
			q.rid, q.asks = string(rid), true
		}
		if version, ok := bytes.CutPrefix(part, []byte("$version=")); ok && !q.ifMatch {
			q.version, q.ifMatch = string(version), true
		}
	}
	return q
}

// answer ends a request that was carried out: the client gets a PUBACK, if it asked for one, and, if it listens, the answer.
// An answer whose topic is too long, since the id fills the request's, is left out.
func (s *session) answer(r *request, q query, topic string, payload []byte) {
	if !q.asks || !s.endWith(r, topic, payload) {
		s.conn.out.end(r, true, nil)
	}
}

// endWith ends a request with an answer, if the client listens, and reports whether it has.
func (s *session) endWith(r *request, topic string, payload []byte) (done bool) {
	packet, err := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{Topic: []byte(topic), Payload: payload})
	return err == nil && s.ifListening(topic, func() { s.conn.out.end(r, true, packet) })
}

// fail ends a request that was not carried out. The client that listens is told why, below topic. Who does not, and waits
// for PUBACK, must not take that for a success, unless to repeat the request would be no use: MQTT 3.1.1 can only close.
func (s *session) fail(r *request, q query, topic string, err error) {
	code, body, jsonErr := s.failureOf(err)
	topic += strconv.Itoa(code.HTTPStatus()) + "/?$rid=" + q.rid
	if q.asks && jsonErr == nil && s.endWith(r, topic, body) {
		return
	}
	final := isFinal(code)
	if !final && r.id != 0 {
		s.conn.Close(err)
	}
	s.conn.out.end(r, final, nil)
}

// isFinal reports whether a request that failed so fails again when it is repeated.
func isFinal(code hubward.Code) bool {
	switch code {
	case hubward.CodeFormatError, hubward.CodeArgumentInvalid, hubward.CodeArgumentNull, hubward.CodeInvalidOperation,
		hubward.CodePreconditionFailed, hubward.CodeMessageTooLarge:
		return true
	}
	return false
}

// failureOf returns what the client may know of an error, and logs what it may not.
func (s *session) failureOf(err error) (code hubward.Code, body []byte, jsonErr error) {
	var random [16]byte
	rand.Read(random[:]) // never fails
	id := hex.EncodeToString(random[:])
	code, text := hubward.CodeOf(err), ""
	var e *hubward.Error
	if errors.As(err, &e) && code.HTTPStatus() < 500 {
		text = e.Message
	}
	if code.HTTPStatus() >= 500 && s.conn.closed() == nil {
		s.conn.srv.logger.Error("a device's request failed", append(s.attrs(), "code", int(code), "tracking", id, "error", err)...)
	}
	body, jsonErr = errorbody.Encode(code, id, cmp.Or(text, code.String()), s.conn.srv.now())
	return code, body, jsonErr
}
