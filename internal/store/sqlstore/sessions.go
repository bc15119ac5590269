package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// Subscriptions returns the filters of a stored session, and false when there is none.
func (s *Store) Subscriptions(ctx context.Context, hubName string, id hubward.Identity) ([]hub.Subscription, bool, error) {
	const op = "sqlstore.Subscriptions"
	row, err := s.read.row(ctx, `SELECT subscriptions FROM mqtt_sessions WHERE hub = $1 AND device_id = $2 AND module_id = $3`,
		hubName, id.Device, id.Module)
	if err != nil {
		return nil, false, s.fail(op, err)
	}
	var text string
	if err := row.Scan(&text); errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	} else if err != nil {
		return nil, false, s.fail(op, err)
	}
	subs, err := listOf[hub.Subscription](text)
	return subs, true, s.fail(op, err)
}

// SaveSubscriptions stores the filters of a session. A session goes with its identity, so it needs one: a device that
// was deleted meanwhile must not leave its subscriptions to the next one of that name.
//
// Errors: CodeDeviceNotFound, CodeModuleNotFound.
func (s *Store) SaveSubscriptions(ctx context.Context, hubName string, id hubward.Identity, subs []hub.Subscription) error {
	const op = "sqlstore.SaveSubscriptions"
	text, err := jsonList(subs)
	if err != nil {
		return s.fail(op, err)
	}
	return s.update(ctx, op, func(tx *writeTx) error {
		_, err := tx.exec(`INSERT INTO mqtt_sessions (hub, device_id, module_id, subscriptions, updated)
			VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (hub, device_id, module_id) DO UPDATE SET
				subscriptions = excluded.subscriptions, updated = excluded.updated`,
			hubName, id.Device, id.Module, text, ticks(s.now()))
		if s.dialect.isForeignKey(err) {
			return identityNotFound(op, id)
		}
		return err
	})
}

func identityNotFound(op string, id hubward.Identity) error {
	e := &hubward.Error{Code: hubward.CodeDeviceNotFound, Op: op, Device: id.Device, Message: "The device is not registered."}
	if id.Module != "" {
		e.Code, e.Message = hubward.CodeModuleNotFound, "The module is not registered."
	}
	return e
}

// DeleteSession forgets a session. An unknown one is no error.
func (s *Store) DeleteSession(ctx context.Context, hubName string, id hubward.Identity) error {
	return s.update(ctx, "sqlstore.DeleteSession", func(tx *writeTx) error {
		_, err := tx.exec(`DELETE FROM mqtt_sessions WHERE hub = $1 AND device_id = $2 AND module_id = $3`,
			hubName, id.Device, id.Module)
		return err
	})
}
