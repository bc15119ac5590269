package mqttfront

import (
	"context"
	"strconv"
	"sync"

	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/mqttwire"
)

// certificateAnswers is how the topics of answers to requests for certificates begin. Behind it comes {status}/?$rid={id}, and nothing
// else: most clients take all that follows for the id.
//
// Source: Azure/azure-iot-sdk-csharp, branch feature/iot-csr-preview, MqttTransportHandler.cs; Azure/azure-iot-sdk-java, branch
// feature/csr, MqttCertificateSigning.java; Azure/azure-iot-sdk-c, branch feature/dps-csr-preview, iothubtransport_mqtt_common.c.
const certificateAnswers = "$iothub/credentials/res/"

// certificateWeight is that of a request for a certificate among those of a connection: a few at once are all that the hub queues.
const certificateWeight = 8

// Packet identifiers of answers at QoS 1. Messages to the device have all others.
const (
	firstCertificateID = 65520
	lastCertificateID  = 65535
)

// requestCertificate acts on $iothub/credentials/POST/issueCertificate/?$rid={id}. It is acknowledged at once; what follows is 202 when
// the request was taken, which is durable, and then 200 with the certificate or another status. The client gets what it has a
// subscription to at that moment. A request without an id has no answer, and nothing comes of it.
func (s *session) requestCertificate(p *publication) error {
	q := readQuery(p.rest)
	s.conn.out.acknowledge(p.ID)
	if q.rid == "" {
		s.conn.srv.logger.Debug("a request for a certificate has no id", s.attrs()...)
		return nil
	}
	r, ok := s.conn.out.begin(0, certificateWeight)
	if !ok {
		return s.conn.closed()
	}
	s.certificateWritten() // who asks for the next one has it: the writer tells of it only behind the write
	s.link.RequestCertificate(q.rid, p.Payload, func(operation hub.CertificateOperation, err error) {
		defer s.conn.out.end(r, true, nil)
		status, body := 202, acceptedBody(operation)
		if err != nil {
			status, body = s.certificateFailure(hub.CertificateErrorOf(err))
		}
		s.answerCertificate(status, q.rid, body)
	})
	return nil
}

// followCertificates has the hub hand over what the device has asked for, or not, as its subscriptions say: an answer waits for the
// next subscription, or the next session that holds one.
func (s *session) followCertificates(context.Context) error {
	_, wanted := s.listens(certificateAnswers + "200/" + anyBag)
	s.link.FollowCertificates(wanted)
	return nil
}

// deliverCertificate tells the device what came of its request. It has it when it acknowledges that, or, at QoS 0, when it is written.
func (s *session) deliverCertificate(r *hub.CertificateResult) {
	status, body := 200, issuedBody(r)
	if r.Err != nil {
		status, body = s.certificateFailure(r.Err)
	}
	packet := &mqttwire.PublishPacket{Topic: certificateTopic(status, r.RequestID), Payload: body}
	if !s.sendCertificate(packet, r) {
		r.Settle(false)
	}
}

// answerCertificate tells the device what its request has come to so far, and keeps nothing of it.
func (s *session) answerCertificate(status int, rid string, body []byte) {
	packet := &mqttwire.PublishPacket{Topic: certificateTopic(status, rid), Payload: body}
	s.sendCertificate(packet, nil)
}

func certificateTopic(status int, rid string) []byte {
	return []byte(certificateAnswers + strconv.Itoa(status) + "/?$rid=" + rid)
}

// sendCertificate sends an answer at the QoS that was granted, if the client listens, and reports whether it does. r is told when
// the client has it; nil: nobody needs to know. When as many are unacknowledged as there are identifiers, one that nobody needs to know
// of goes at QoS 0, and another has to wait until there is room.
func (s *session) sendCertificate(p *mqttwire.PublishPacket, r *hub.CertificateResult) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	qos, ok := s.listens(string(p.Topic))
	if !ok {
		return false
	}
	if qos > 0 {
		p.ID = s.certificates.free()
		switch {
		case p.ID != 0:
			p.QoS = qos
		case r != nil:
			s.certificates.waiting = true
			return false
		}
	}
	packet, err := mqttwire.AppendPublish(nil, p)
	if err != nil { // the id fills the topic of its request
		return false
	}
	if p.QoS == 0 && r != nil {
		s.certificates.written = sync.OnceFunc(func() { r.Settle(true) })
		s.conn.out.push(packet, s.certificates.written)
		return true
	}
	if p.QoS == 0 {
		s.conn.out.push(packet, nil)
		return true
	}
	s.certificates.send(p.ID, r)
	s.conn.out.push(packet, nil)
	return true
}

// certificateWritten notes that the client has the certificate that was sent at QoS 0, if there is one.
func (s *session) certificateWritten() {
	s.mu.Lock()
	written := s.certificates.written
	s.certificates.written = nil
	s.mu.Unlock()
	if written != nil {
		written()
	}
}

// certificateAcked acts on a PUBACK, and reports whether it is for an answer to a request for a certificate.
func (s *session) certificateAcked(id uint16) bool {
	if id < firstCertificateID {
		return false
	}
	s.mu.Lock()
	r, waiting := s.certificates.acked(id)
	s.mu.Unlock()
	if r != nil { // before the connection can end: the client may ask again on the next one at once
		ctx, cancel := context.WithTimeout(s.conn.ctx, storeTimeout)
		defer cancel()
		r.Received(ctx)
	}
	if waiting {
		s.link.FollowCertificates(true)
	}
	return true
}

// certificatesInFlight are the answers to requests for certificates that were sent at QoS 1 and are not acknowledged, by their
// identifiers. Its owner locks it.
type certificatesInFlight struct {
	sent    map[uint16]*hub.CertificateResult // nil: nobody needs to know
	written func()                            // of the certificate that was sent last at QoS 0; nil: there is none
	waiting bool                              // there was no room for one
}

// free returns an identifier that is not in use, 0 when there is none.
func (c *certificatesInFlight) free() uint16 {
	for id := firstCertificateID; id <= lastCertificateID; id++ {
		if _, used := c.sent[uint16(id)]; !used {
			return uint16(id)
		}
	}
	return 0
}

func (c *certificatesInFlight) send(id uint16, r *hub.CertificateResult) {
	if c.sent == nil {
		c.sent = make(map[uint16]*hub.CertificateResult)
	}
	c.sent[id] = r
}

// acked returns what the client has, and whether there is room for one that waited.
func (c *certificatesInFlight) acked(id uint16) (r *hub.CertificateResult, waiting bool) {
	r, waiting = c.sent[id], c.waiting
	c.waiting = false
	delete(c.sent, id)
	return r, waiting
}
