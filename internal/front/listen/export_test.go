package listen

// Explain is explain: the error for a port that needs a privilege cannot be provoked as root.
var Explain = explain
