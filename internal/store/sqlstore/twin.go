package sqlstore

import (
	"context"
	"errors"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

var errNotBuilt = errors.New("not built")

// Twin returns an identity with its twin.
func (s *Store) Twin(ctx context.Context, hubName string, id hubward.Identity) (*hub.Registration, error) {
	return nil, errNotBuilt
}

// Twins is as Devices, with the twins.
func (s *Store) Twins(ctx context.Context, hubName, after string, limit int) ([]hub.Registration, error) {
	return nil, errNotBuilt
}

// DesiredProperties returns the desired properties of an identity, and their newest changes.
func (s *Store) DesiredProperties(ctx context.Context, hubName string, id hubward.Identity) (twindoc.Section, []hub.DesiredChange, error) {
	return twindoc.Section{}, nil, errNotBuilt
}

// EditTwins is as EditIdentities, for twins.
func (s *Store) EditTwins(ctx context.Context, hubName string, edits []*hub.TwinEdit) error {
	return errNotBuilt
}

// EditReported is EditTwins for the reported properties alone.
func (s *Store) EditReported(ctx context.Context, hubName string, edits []*hub.ReportedEdit) error {
	return errNotBuilt
}
