// Package sas makes, reads and checks shared access signatures, and parses the connection strings that carry their
// keys.
//
// A token is
//
//	SharedAccessSignature sr={resource}&sig={signature}&se={expiry}[&skn={policy}]
//
// with its fields in any order. The signature is base64(HMAC-SHA256(key, sr + "\n" + se)), percent-encoded, where sr
// and se are the texts exactly as they stand in the token: clients spell the resource in many ways, so decoding it
// before hashing breaks them. C and Java leave its slashes as they are, .NET encodes ids twice. The package has no clock
// of its own: callers pass the time.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-sas.
package sas
