package mqttwire

// PINGREQ, PINGRESP and DISCONNECT have no body: ParseHeader has checked all there is to check.

// AppendPingreq appends a PINGREQ.
func AppendPingreq(dst []byte) []byte { return appendHeader(dst, Pingreq, 0, 0) }

// AppendPingresp appends a PINGRESP.
func AppendPingresp(dst []byte) []byte { return appendHeader(dst, Pingresp, 0, 0) }

// AppendDisconnect appends a DISCONNECT.
func AppendDisconnect(dst []byte) []byte { return appendHeader(dst, Disconnect, 0, 0) }
