package device

import "crypto"

// ForPipe returns opts for a connection without TLS and pauses without jitter: what the tests that drive the hub's end
// of a pipe step by step need.
func ForPipe(opts Options) *Options {
	opts.plain = true
	opts.random = func() float64 { return 0 }
	return &opts
}

// Draining is closed once the client takes no more messages.
func Draining(c *Client) <-chan struct{} { return c.taking.Done() }

// What reads topics.
var (
	ReadAnswerTopic = readAnswerTopic
	ReadMethodTopic = readMethodTopic
)

// Merge is the merge of RFC 7396.
var Merge = merge

// What makes a patch of two documents, and how both travel.
var (
	Difference   = difference
	DecodeObject = decodeObject
	EncodeJSON   = encodeJSON
)

// ReadCertificateAnswer reads the answer to a request for a certificate of a key.
func ReadCertificateAnswer(key crypto.PublicKey, status int, body []byte) (*IssuedCertificate, error) {
	if status != statusIssued {
		return nil, readCertificateRefusal(status, body)
	}
	a := (&certificateCall{key: key}).readIssued(body)
	return a.issued, a.err
}
