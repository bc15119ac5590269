package service

import (
	"sync"
	"time"

	"github.com/hubward/hubward/sas"
)

// minTokenTTL bounds Options.TokenTTL from below, so that a token outlives the call that it was made for.
const minTokenTTL = time.Minute

// tokenSource makes tokens and uses each one until a quarter of its life is left.
type tokenSource struct {
	// Set once, never changed after.
	ready             string // a token that was given; then no other is made
	host, policy, key string
	ttl               time.Duration
	now               func() time.Time

	mu    sync.Mutex // guards the fields below
	token string
	renew time.Time
}

func newTokenSource(cs *sas.ConnectionString, o *Options) (*tokenSource, error) {
	s := &tokenSource{
		ready: cs.SharedAccessSignature, host: sas.TrimPort(cs.HostName), policy: cs.SharedAccessKeyName,
		key: cs.SharedAccessKey, ttl: o.TokenTTL, now: o.Now,
	}
	if s.ttl == 0 {
		s.ttl = DefaultTokenTTL
	}
	s.ttl = max(s.ttl, minTokenTTL)
	if s.now == nil {
		s.now = time.Now
	}
	_, err := s.current() // a key that is no base64 shows now
	return s, err
}

// current returns the value of the Authorization header.
func (s *tokenSource) current() (string, error) {
	if s.ready != "" {
		return s.ready, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.token != "" && now.Before(s.renew) {
		return s.token, nil
	}
	token, err := sas.Sign(s.host, s.key, s.policy, now.Add(s.ttl))
	if err != nil {
		return "", err
	}
	s.token, s.renew = token, now.Add(s.ttl-s.ttl/4)
	return token, nil
}
