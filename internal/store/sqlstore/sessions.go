package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/hubward/hubward"
)

// Session returns a stored state, and false when there is none.
func (s *Store) Session(ctx context.Context, hubName string, id hubward.Identity) (state []byte, present bool, err error) {
	const op = "sqlstore.Session"
	row, err := s.read.row(ctx, `SELECT state FROM sessions
		WHERE hub = $1 AND device_id = $2 AND module_id = $3 AND state IS NOT NULL`, hubName, id.Device, id.Module)
	if err != nil {
		return nil, false, s.fail(op, err)
	}
	if err := row.Scan(&state); errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	} else if err != nil {
		return nil, false, s.fail(op, err)
	}
	return state, true, nil
}

// SaveSession stores a state unless a newer claim has stored one. A session goes with its identity, so it needs one: a
// device that was deleted meanwhile must not leave its session to the next one of that name.
//
// Errors: CodeConnectionClosedOnNewOne; CodeDeviceNotFound, CodeModuleNotFound.
func (s *Store) SaveSession(ctx context.Context, hubName string, id hubward.Identity, fence uint64, state []byte) error {
	const op = "sqlstore.SaveSession"
	if state == nil {
		// Most clean sessions have nothing to forget. That is no reason to wait for the writer, of which there is one for all who
		// connect.
		if some, err := s.hasSession(ctx, hubName, id); err != nil || !some {
			return s.fail(op, err)
		}
	}
	return s.update(ctx, op, func(tx *writeTx) error {
		if state == nil {
			return s.forgetSession(op, tx, hubName, id, fence)
		}
		n, err := tx.change(`INSERT INTO sessions (hub, device_id, module_id, fence, updated, state)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (hub, device_id, module_id) DO UPDATE SET
				fence = excluded.fence, updated = excluded.updated, state = excluded.state
			WHERE sessions.fence <= excluded.fence`,
			hubName, id.Device, id.Module, fence, ticks(s.now()), state)
		switch {
		case s.dialect.isForeignKey(err):
			return notFound(op, id)
		case err == nil && n == 0:
			return displaced(op, id)
		}
		return err
	})
}

// hasSession reports whether there is a row, with a state or without.
func (s *Store) hasSession(ctx context.Context, hubName string, id hubward.Identity) (some bool, err error) {
	row, err := s.read.row(ctx, `SELECT EXISTS (SELECT 1 FROM sessions WHERE hub = $1 AND device_id = $2 AND module_id = $3)`,
		hubName, id.Device, id.Module)
	if err == nil {
		err = row.Scan(&some)
	}
	return some, err
}

// forgetSession leaves the row, if there is one, with the fence: what an older claim comes to store is void.
func (s *Store) forgetSession(op string, tx *writeTx, hubName string, id hubward.Identity, fence uint64) error {
	row, err := tx.row(`SELECT fence FROM sessions WHERE hub = $1 AND device_id = $2 AND module_id = $3`+s.dialect.forUpdate,
		hubName, id.Device, id.Module)
	if err != nil {
		return err
	}
	var stored uint64
	if err := row.Scan(&stored); errors.Is(err, sql.ErrNoRows) {
		return nil
	} else if err != nil {
		return err
	}
	if stored > fence {
		return displaced(op, id)
	}
	_, err = tx.exec(`UPDATE sessions SET fence = $4, updated = $5, state = NULL WHERE hub = $1 AND device_id = $2 AND module_id = $3`,
		hubName, id.Device, id.Module, fence, ticks(s.now()))
	return err
}

func displaced(op string, id hubward.Identity) error {
	return &hubward.Error{
		Code: hubward.CodeConnectionClosedOnNewOne, Op: op, Identity: id, Message: "A newer connection has taken the place of this one.",
	}
}
