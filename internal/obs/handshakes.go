package obs

import "github.com/prometheus/client_golang/prometheus"

// Handshakes are the numbers of TLS handshakes since the start, but Waiting.
type Handshakes struct {
	Full, Resumed, Failed int64
	Silent                int64 // closed because no ClientHello came in time
	Busy                  int64 // closed because too many waited for their turn, or for too long
	Waiting               int   // for their turn, now
}

var (
	descHandshakes = prometheus.NewDesc("hubward_tls_handshakes_total", "TLS handshakes that were computed, by result.", []string{"result"}, nil)
	descUnshaken   = prometheus.NewDesc("hubward_tls_handshakes_refused_total", "Connections that were closed before their TLS handshake, by reason.", []string{"reason"}, nil)
	descWaiting    = prometheus.NewDesc("hubward_tls_handshakes_waiting", "TLS handshakes that wait for their turn.", nil, nil)
)

func collectHandshakes(ch chan<- prometheus.Metric, h Handshakes) {
	counter(ch, descHandshakes, h.Full, "full")
	counter(ch, descHandshakes, h.Resumed, "resumed")
	counter(ch, descHandshakes, h.Failed, "failed")
	counter(ch, descUnshaken, h.Silent, "silent")
	counter(ch, descUnshaken, h.Busy, "busy")
	gauge(ch, descWaiting, int64(h.Waiting))
}
