package mqttfront

import "github.com/hubward/hubward"

var errNoCertificates = hubward.Errorf(hubward.CodeInvalidOperation, "this hub does not issue certificates yet")

// requestCertificate acts on a request for a certificate: this hub issues none yet. The Java SDK reads no refusal without a
// time in it.
//
// Source: Azure/azure-iot-sdk-csharp, branch feature/iot-csr-preview, MqttTransportHandler.cs; Azure/azure-iot-sdk-java, branch
// feature/csr, MqttCertificateSigning.java.
func (s *session) requestCertificate(p *publication) error {
	q := readQuery(p.rest)
	r, ok := s.conn.out.begin(p.ID, 1)
	if !ok {
		return s.conn.closed()
	}
	s.fail(r, q, "$iothub/credentials/res/", errNoCertificates)
	return nil
}
