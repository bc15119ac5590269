package listen

// Explain is explain: the error for a port that needs a privilege cannot be provoked as root.
var Explain = explain

// HasLeft is hasLeft, which a handshake that waited asks about its client.
var HasLeft = hasLeft
