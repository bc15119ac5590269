package listen

import "net"

// Explain is explain: the error for a port that needs a privilege cannot be provoked as root.
var Explain = explain

// HasLeft is hasLeft, which a handshake that waited asks about its client.
var HasLeft = hasLeft

// Admit is what a listener does with what it accepts.
func Admit(l *Limit, nc net.Conn) net.Conn { return l.admit(nc) }
