package listen

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// The life of a key of session tickets. Servers that share a store take a new one at the same time, each knowing it by then: it
// opens tickets from the moment that a server sees it, and seals them once all have.
const (
	// ticketKeySeals is for how long a key seals tickets, after which the next one is made.
	ticketKeySeals = 24 * time.Hour
	// ticketKeyOpens is for how long it opens them: a ticket is good for two days at least, and three at most.
	ticketKeyOpens = 3 * ticketKeySeals
	// ticketKeyLook is how often the store is looked at.
	ticketKeyLook = time.Minute
	// ticketKeyKnown is after which time all have seen a new key.
	ticketKeyKnown = 2 * ticketKeyLook
)

// SealedKey is a key of session tickets as a store keeps it.
type SealedKey struct {
	ID      int64 // grows with each key, from 1
	Created time.Time
	Sealed  []byte // AES-256-GCM under a key that is derived from the server's private key
}

// TicketStore keeps keys of session tickets, for all servers that are to know each other's tickets.
type TicketStore interface {
	// TicketKeys returns them, the newest first.
	TicketKeys(ctx context.Context) ([]SealedKey, error)
	// AddTicketKey stores a key, ID aside, and deletes those that were created before oldest; if, at that moment, the newest one
	// is still that with the ID newest, 0 if there is none. Otherwise it changes nothing, which is no error.
	AddTicketKey(ctx context.Context, newest int64, key SealedKey, oldest time.Time) error
}

// Tickets gives the server's TLS configurations the keys of session tickets, with which clients that come back make a shorter
// handshake: keys that change daily, outlive a restart, and are those of all servers with the same store and the same private
// key. Whoever has the store alone cannot open them, and with another private key no old ticket is good.
//
// A ticket proves that its holder made a handshake before, with the client certificate that is in it, if any. Who that is, and
// whether they may come in, is looked at in each log-in.
//
// Source: RFC 8446 2.2; RFC 5077 5.5.
type Tickets struct {
	o TicketOptions
}

// TicketOptions are what Tickets is made of. All are required.
type TicketOptions struct {
	Store        TicketStore
	Certificates *Certificates
	Now          func() time.Time
	Rand         io.Reader
	Logger       *slog.Logger
}

// NewTickets returns Tickets that have given nobody a key yet: Refresh does.
func NewTickets(o TicketOptions) *Tickets { return &Tickets{o: o} }

// Run calls Refresh now and then, until ctx ends. What fails is logged: the keys that are in use stay.
func (t *Tickets) Run(ctx context.Context) error {
	look := time.NewTicker(ticketKeyLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			if err := t.Refresh(ctx); err != nil && ctx.Err() == nil {
				t.o.Logger.Warn("the keys of TLS session tickets could not be looked up: no new one is made meanwhile", "error", err)
			}
		}
	}
}

// Refresh looks at the store, makes a key if the newest is a day old, and puts what there is into use.
func (t *Tickets) Refresh(ctx context.Context) error {
	box, err := t.box()
	if err != nil {
		return err
	}
	stored, err := t.o.Store.TicketKeys(ctx)
	if err != nil {
		return err
	}
	keys := t.open(box, stored)
	if now := t.o.Now(); len(keys) == 0 || now.Sub(keys[0].created) >= ticketKeySeals {
		if err := t.add(ctx, box, stored, now); err != nil {
			return err
		}
		// Another server's, if it was quicker.
		if stored, err = t.o.Store.TicketKeys(ctx); err != nil {
			return err
		}
		keys = t.open(box, stored)
	}
	if len(keys) == 0 {
		return errors.New("the store gives none back")
	}
	t.o.Certificates.setTicketKeys(inUse(keys, t.o.Now()))
	return nil
}

// ticketKey is a key that this server can open.
type ticketKey struct {
	created time.Time
	key     [32]byte
}

// open returns the keys that are good still, the newest first. Those of another private key are others'.
func (t *Tickets) open(box cipher.AEAD, stored []SealedKey) []ticketKey {
	var keys []ticketKey
	for _, s := range stored {
		if t.o.Now().Sub(s.Created) >= ticketKeyOpens {
			continue
		}
		if k, err := unseal(box, s); err == nil {
			keys = append(keys, k)
		}
	}
	return keys
}

// inUse puts the key that seals first: the newest one that all servers know; the newest one, if that would seal for too long.
func inUse(keys []ticketKey, now time.Time) [][32]byte {
	sealing := 0
	for i, k := range keys {
		if age := now.Sub(k.created); age >= ticketKeyKnown && age < ticketKeySeals+ticketKeyKnown {
			sealing = i
			break
		}
	}
	list := [][32]byte{keys[sealing].key}
	for i, k := range keys {
		if i != sealing {
			list = append(list, k.key)
		}
	}
	return list
}

// add makes a key.
func (t *Tickets) add(ctx context.Context, box cipher.AEAD, stored []SealedKey, now time.Time) error {
	newest := int64(0)
	if len(stored) > 0 {
		newest = stored[0].ID
	}
	var key [32]byte
	if _, err := io.ReadFull(t.o.Rand, key[:]); err != nil {
		return err
	}
	sealed, err := seal(box, key, now, t.o.Rand)
	if err != nil {
		return err
	}
	return t.o.Store.AddTicketKey(ctx, newest, SealedKey{Created: now, Sealed: sealed}, now.Add(-ticketKeyOpens))
}

// box seals keys: AES-256-GCM under what HKDF with SHA-256 derives from the server's private key.
//
// Source: RFC 5869; NIST SP 800-38D.
func (t *Tickets) box() (cipher.AEAD, error) {
	private, err := x509.MarshalPKCS8PrivateKey(t.o.Certificates.current.Load().fallback.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("the server's private key: %w", err)
	}
	key, err := hkdf.Key(sha256.New, private, nil, "hubward TLS session ticket keys 1", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal returns nonce and sealed key. The time is sealed with it: nobody makes an old key new.
func seal(box cipher.AEAD, key [32]byte, created time.Time, random io.Reader) ([]byte, error) {
	nonce := make([]byte, box.NonceSize(), box.NonceSize()+len(key)+box.Overhead())
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, err
	}
	return box.Seal(nonce, nonce, key[:], sealedTime(created)), nil
}

func unseal(box cipher.AEAD, s SealedKey) (k ticketKey, err error) {
	if len(s.Sealed) < box.NonceSize() {
		return k, errors.New("the sealed key is too short")
	}
	nonce, sealed := s.Sealed[:box.NonceSize()], s.Sealed[box.NonceSize():]
	key, err := box.Open(nil, nonce, sealed, sealedTime(s.Created))
	if err == nil && len(key) != len(k.key) {
		err = errors.New("the sealed key has another length")
	}
	copy(k.key[:], key)
	k.created = s.Created
	return k, err
}

// sealedTime is in seconds: every store keeps these.
func sealedTime(t time.Time) []byte { return binary.BigEndian.AppendUint64(nil, uint64(t.Unix())) }
