package amqpfront

import (
	"context"
	"slices"
	"sync"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

// openReaders knows the reader links of the server. A link that ends closes its reader a moment after the peer was told:
// a client that comes back at once must not be kept out by itself.
type openReaders struct {
	mu    sync.Mutex // guards links; a leaf
	links map[readerKey][]*readerLink
}

type readerKey struct {
	hub, group string // as the hub spells them
	partition  int
}

func (o *openReaders) add(r *readerLink) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.links == nil {
		o.links = make(map[readerKey][]*readerLink)
	}
	o.links[r.key] = append(o.links[r.key], r)
}

func (o *openReaders) remove(r *readerLink) {
	o.mu.Lock()
	defer o.mu.Unlock()
	rest := slices.DeleteFunc(o.links[r.key], func(other *readerLink) bool { return other == r })
	if len(rest) == 0 {
		delete(o.links, r.key)
	} else {
		o.links[r.key] = rest
	}
}

// closeEnded closes the readers of a partition whose links have ended, and reports whether there were any.
func (o *openReaders) closeEnded(key readerKey) bool {
	o.mu.Lock()
	var ended []*hub.Reader
	for _, r := range o.links[key] {
		if r.link.Context().Err() != nil {
			ended = append(ended, r.reader)
		}
	}
	o.mu.Unlock()
	for _, reader := range ended {
		reader.Close()
	}
	return len(ended) > 0
}

// openReader opens a reader, if need be instead of one whose link has just ended.
func (s *Server) openReader(ctx context.Context, p *access.Principal, key readerKey, o hub.ReaderOptions) (*hub.Reader, error) {
	reader, err := s.hub.OpenReader(ctx, p, o)
	if err == nil {
		return reader, nil
	}
	code := hubward.CodeOf(err)
	if code != hubward.CodeReaderDisplaced && code != hubward.CodeReaderLimit || !s.readers.closeEnded(key) {
		return nil, err
	}
	return s.hub.OpenReader(ctx, p, o)
}
