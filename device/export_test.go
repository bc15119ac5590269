package device

// ForPipe returns opts for a connection without TLS and pauses without jitter: what the tests that drive the hub's end
// of a pipe step by step need.
func ForPipe(opts Options) *Options {
	opts.plain = true
	opts.random = func() float64 { return 0 }
	return &opts
}
