package device

import (
	"github.com/hubward/hubward/internal/mqttwire"
)

// The topics of requests for certificates.
//
// Source: Azure/azure-iot-sdk-java, branch feature/csr, MqttCertificateSigning.java.
const (
	certificateTopic        = "$iothub/credentials/POST/issueCertificate/?$rid="
	certificateAnswerPrefix = "$iothub/credentials/res/"
)

// flushCertificates writes requests that are not sent, once the hub has taken the subscription to the answers.
func (cn *mqttConn) flushCertificates() error {
	if !cn.subscriptions.has(feedCertificates) {
		return nil
	}
	for {
		id, body, err := cn.client.certificates.next()
		if err != nil || id == "" {
			return err
		}
		packet := mqttwire.PublishPacket{Topic: []byte(certificateTopic + id), Payload: body}
		if cn.out, err = mqttwire.AppendPublish(cn.out[:0], &packet); err != nil {
			return err
		}
		if err := cn.write(cn.out); err != nil {
			return err
		}
	}
}

// certificateAnswer takes the answer to a request. It reports false when it cannot be read, or is not for this program; then
// a certificate is not acknowledged.
func (cn *mqttConn) certificateAnswer(topic string, p *mqttwire.PublishPacket) bool {
	status, id, _, ok := readAnswerTopic(certificateAnswerPrefix, topic)
	known := ok && cn.client.certificates.waits(id)
	if known || status != statusIssued {
		cn.acknowledge(p) // before the program is told: it may close the client at once
	}
	if known && cn.client.certificates.settle(id, status, p.Payload) {
		cn.useful.Store(true)
		cn.client.nudge() // there may be one to send again
	}
	return known
}
