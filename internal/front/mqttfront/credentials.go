package mqttfront

// requestCertificate acts on a request for a certificate: this hub issues none yet. The Java SDK reads no refusal without a
// time in it.
//
// Source: Azure/azure-iot-sdk-csharp, branch feature/iot-csr-preview, MqttTransportHandler.cs; Azure/azure-iot-sdk-java, branch
// feature/csr, MqttCertificateSigning.java.
func (s *session) requestCertificate(p *publication) error {
	return s.refuse(p, "$iothub/credentials/res/400/?$rid=", "this hub does not issue certificates yet")
}
