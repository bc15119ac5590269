package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// Modules returns a device's modules, ordered by id.
func (s *Store) Modules(ctx context.Context, hubName, device string) ([]hub.Registration, error) {
	const op = "sqlstore.Modules"
	var list []hub.Registration // the device first
	err := s.read.each(ctx, appendIdentity(&list),
		`SELECT device_id, module_id, `+identityColumns+` FROM devices WHERE hub = $1 AND device_id = $2 ORDER BY module_id`, hubName, device)
	if err != nil {
		return nil, s.fail(op, err)
	}
	if len(list) == 0 {
		return nil, notFound(op, hubward.Identity{Device: device})
	}
	return list[1:], nil
}

// AllModules returns up to limit modules behind after, ordered by device and module id; none when limit is not positive.
func (s *Store) AllModules(ctx context.Context, hubName string, after hubward.Identity, limit int) ([]hub.Registration, error) {
	var modules []hub.Registration
	err := s.read.each(ctx, appendIdentity(&modules),
		`SELECT device_id, module_id, `+identityColumns+` FROM devices
			WHERE hub = $1 AND (device_id, module_id) > ($2, $3) AND module_id <> '' ORDER BY device_id, module_id LIMIT $4`,
		hubName, after.Device, after.Module, max(limit, 0))
	if err != nil {
		return nil, s.fail("sqlstore.AllModules", err)
	}
	return modules, nil
}

// Children returns up to limit devices behind after whose only parent has the scope, ordered by id.
func (s *Store) Children(ctx context.Context, hubName, scope, after string, limit int) ([]hub.Registration, error) {
	const op = "sqlstore.Children"
	parents, err := jsonList([]string{scope})
	if err != nil {
		return nil, s.fail(op, err)
	}
	var devices []hub.Registration
	err = s.read.each(ctx, appendIdentity(&devices),
		`SELECT device_id, module_id, `+identityColumns+` FROM devices
			WHERE hub = $1 AND parent_scopes = $2 AND parent_scopes <> '[]' AND device_id > $3 AND module_id = ''
			ORDER BY device_id LIMIT $4`, hubName, parents, after, max(limit, 0))
	if err != nil {
		return nil, s.fail(op, err)
	}
	return devices, nil
}

// lockModules reads the modules of a device that is locked.
func (s *Store) lockModules(tx *writeTx, hubName, device string, withTwins bool) ([]hub.Registration, error) {
	modules := []hub.Registration{} // asked for, and not nil
	err := tx.each(appendIdentity(&modules), `SELECT device_id, module_id, `+identityColumns+` FROM devices
		WHERE hub = $1 AND device_id = $2 AND module_id <> '' ORDER BY module_id`+s.dialect.forUpdate, hubName, device)
	if err != nil || !withTwins {
		return modules, err
	}
	for i := range modules {
		twin, err := readTwin(tx, hubName, modules[i].Identity())
		if err != nil {
			return nil, err
		}
		modules[i].Twin = twin.copy()
	}
	return modules, nil
}

// makeRoom locks the device of a new module, and sets e.Err when there is none, or when it has its modules.
func (s *Store) makeRoom(op string, tx *writeTx, hubName string, e *hub.IdentityEdit) error {
	device := hubward.Identity{Device: e.ID.Device}
	row, err := tx.row(lockIdentity+s.dialect.forUpdate, hubName, device.Device, "")
	if err != nil {
		return err
	}
	var etag string
	switch err := row.Scan(&etag); {
	case errors.Is(err, sql.ErrNoRows):
		e.Err = notFound(op, device)
		return nil
	case err != nil || e.MostModules == 0:
		return err
	}
	row, err = tx.row(`SELECT count(*) FROM devices
		WHERE hub = $1 AND device_id = $2 AND module_id <> '' AND substr(module_id, 1, 1) <> '$'`, hubName, device.Device)
	if err != nil {
		return err
	}
	var n int
	if err := row.Scan(&n); err != nil {
		return err
	}
	if n >= e.MostModules {
		e.Err = &hubward.Error{
			Code: hubward.CodeTooManyModulesOnDevice, Op: op, Identity: e.ID,
			Message: fmt.Sprintf("The device '%s' has %d modules, and no more are possible.", device.Device, n),
		}
	}
	return nil
}
