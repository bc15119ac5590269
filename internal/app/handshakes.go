package app

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/hubward/hubward/internal/front/listen"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/obs"
)

// openHandshakes makes what all listeners with TLS share. Without keys for session tickets, each listener has some of its own
// until the store gives some.
func (a *App) openHandshakes(ctx context.Context) {
	a.handshakes = listen.NewHandshakes(listen.HandshakeOptions{HubOf: a.certs.HubOf, Logger: a.logger, Now: a.o.Now})
	random := a.o.Rand
	if random == nil {
		random = rand.Reader
	}
	a.tickets = listen.NewTickets(listen.TicketOptions{
		Store: ticketStore{a.engines.store}, Certificates: a.certs, Now: a.o.Now, Rand: random, Logger: a.logger,
	})
	if err := a.tickets.Refresh(ctx); err != nil {
		a.logger.Warn("TLS session tickets do not outlive this process: their keys could not be read or made", "error", err)
	}
}

// ticketStore hands the store to package listen, which knows no hub.
type ticketStore struct{ store hub.TicketKeyStore }

// TicketKeys implements listen.TicketStore.
func (s ticketStore) TicketKeys(ctx context.Context) ([]listen.SealedKey, error) {
	keys, err := s.store.TicketKeys(ctx)
	sealed := make([]listen.SealedKey, len(keys))
	for i, k := range keys {
		sealed[i] = listen.SealedKey(k)
	}
	return sealed, err
}

// AddTicketKey implements listen.TicketStore.
func (s ticketStore) AddTicketKey(ctx context.Context, newest int64, key listen.SealedKey, oldest time.Time) error {
	return s.store.AddTicketKey(ctx, newest, hub.TicketKey(key), oldest)
}

// handshakeStats hands the numbers of handshakes to the metrics.
func (a *App) handshakeStats() obs.Handshakes { return obs.Handshakes(a.handshakes.Stats()) }
