package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// identityColumns are what scanDevice reads.
const identityColumns = `device_id, generation_id, etag, connection_state, status, status_reason,
	connection_state_updated, status_updated, last_activity, auth_type, primary_key, secondary_key,
	primary_thumbprint, secondary_thumbprint, iot_edge, device_scope, parent_scopes,
	coalesce((SELECT q.pending FROM c2d_queues q
		WHERE q.hub = devices.hub AND q.device_id = devices.device_id AND q.module_id = devices.module_id), 0)`

const selectDevice = `SELECT ` + identityColumns + ` FROM devices WHERE hub = $1 AND device_id = $2 AND module_id = ''`

// Device returns one identity, or an Error with CodeDeviceNotFound.
func (s *Store) Device(ctx context.Context, hubName, id string) (*hubward.Device, error) {
	const op = "sqlstore.Device"
	row, err := s.read.row(ctx, selectDevice, hubName, id)
	if err != nil {
		return nil, s.fail(op, err)
	}
	d, err := scanDevice(row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &hubward.Error{
			Code: hubward.CodeDeviceNotFound, Op: op, Device: id, Message: "The device '" + id + "' is not registered.",
		}
	}
	if err != nil {
		return nil, s.fail(op, err)
	}
	return d, nil
}

// Devices returns up to limit identities, ordered by id; none when limit is not positive.
func (s *Store) Devices(ctx context.Context, hubName string, limit int) ([]hubward.Device, error) {
	var devices []hubward.Device
	err := s.read.each(ctx, func(row scanner) error {
		d, err := scanDevice(row)
		if err != nil {
			return err
		}
		devices = append(devices, *d)
		return nil
	}, `SELECT `+identityColumns+` FROM devices WHERE hub = $1 AND module_id = '' ORDER BY device_id LIMIT $2`,
		hubName, max(limit, 0))
	if err != nil {
		return nil, s.fail("sqlstore.Devices", err)
	}
	return devices, nil
}

func scanDevice(row scanner) (*hubward.Device, error) {
	var (
		d                                      hubward.Device
		reason, authType, key1, key2, th1, th2 sql.NullString
		stateUpdated, statusUpdated, activity  sql.NullInt64
		parents                                string
	)
	err := row.Scan(&d.DeviceID, &d.GenerationID, &d.ETag, &d.ConnectionState, &d.Status, &reason,
		&stateUpdated, &statusUpdated, &activity, &authType, &key1, &key2,
		&th1, &th2, &d.Capabilities.IotEdge, &d.DeviceScope, &parents, &d.CloudToDeviceMessageCount)
	if err != nil {
		return nil, err
	}
	d.StatusReason = hubward.NullString(reason.String)
	d.ConnectionStateUpdatedTime = wireTime(stateUpdated)
	d.StatusUpdatedTime = wireTime(statusUpdated)
	d.LastActivityTime = wireTime(activity)
	if authType.Valid {
		d.Authentication = &hubward.Authentication{Type: hubward.AuthType(authType.String)}
		d.Authentication.SymmetricKey.PrimaryKey = hubward.NullString(key1.String)
		d.Authentication.SymmetricKey.SecondaryKey = hubward.NullString(key2.String)
		d.Authentication.X509Thumbprint.PrimaryThumbprint = hubward.NullString(th1.String)
		d.Authentication.X509Thumbprint.SecondaryThumbprint = hubward.NullString(th2.String)
	}
	d.ParentScopes, err = listOf[string](parents)
	return &d, err
}

// EditDevices runs edits in order, in one job of the writer. An identity is stored under its edit's ID, whatever its
// DeviceID says. What it stores of an identity that exists leaves the twin and the connection fields alone.
func (s *Store) EditDevices(ctx context.Context, hubName string, edits []*hub.DeviceEdit) error {
	if len(edits) == 0 {
		return nil
	}
	return s.update(ctx, "sqlstore.EditDevices", func(tx *writeTx) error {
		for _, e := range edits {
			if err := s.editDevice(tx, hubName, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// editDevice sets e.Err to what e's function says, before anything is written; an error of its own fails the whole job.
func (s *Store) editDevice(tx *writeTx, hubName string, e *hub.DeviceEdit) error {
	row, err := tx.row(selectDevice+s.dialect.forUpdate, hubName, e.ID)
	if err != nil {
		return err
	}
	exists := true
	old, err := scanDevice(row)
	if errors.Is(err, sql.ErrNoRows) {
		old, exists = nil, false
	} else if err != nil {
		return err
	}
	next, err := e.Edit(old)
	e.Err = err
	switch {
	case err != nil, next == nil && !exists:
		return nil
	case next == nil:
		return deleteDevice(tx, hubName, e.ID)
	case exists:
		return updateDevice(tx, hubName, e.ID, next)
	}
	return insertDevice(tx, hubName, e.ID, next)
}

// deleteDevice removes the device and its modules; the schema removes their sessions, queues and feedback.
func deleteDevice(tx *writeTx, hubName, id string) error {
	_, err := tx.exec(`DELETE FROM devices WHERE hub = $1 AND device_id = $2`, hubName, id)
	return err
}

func insertDevice(tx *writeTx, hubName, id string, d *hubward.Device) error {
	parents, err := jsonList(d.ParentScopes)
	if err != nil {
		return err
	}
	a := authColumns(d.Authentication)
	_, err = tx.exec(`INSERT INTO devices (hub, device_id, generation_id, etag, status, status_reason, status_updated,
			auth_type, primary_key, secondary_key, primary_thumbprint, secondary_thumbprint,
			iot_edge, device_scope, parent_scopes, connection_state, connection_state_updated, last_activity)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		hubName, id, d.GenerationID, d.ETag, string(d.Status), nullText(d.StatusReason), nullTicks(d.StatusUpdatedTime.Time),
		a.kind, a.key1, a.key2, a.thumb1, a.thumb2,
		flag(d.Capabilities.IotEdge), d.DeviceScope, parents,
		string(d.ConnectionState), nullTicks(d.ConnectionStateUpdatedTime.Time), nullTicks(d.LastActivityTime.Time))
	return err
}

func updateDevice(tx *writeTx, hubName, id string, d *hubward.Device) error {
	parents, err := jsonList(d.ParentScopes)
	if err != nil {
		return err
	}
	a := authColumns(d.Authentication)
	_, err = tx.exec(`UPDATE devices SET generation_id = $3, etag = $4, status = $5, status_reason = $6, status_updated = $7,
			auth_type = $8, primary_key = $9, secondary_key = $10, primary_thumbprint = $11, secondary_thumbprint = $12,
			iot_edge = $13, device_scope = $14, parent_scopes = $15
		WHERE hub = $1 AND device_id = $2 AND module_id = ''`,
		hubName, id, d.GenerationID, d.ETag, string(d.Status), nullText(d.StatusReason), nullTicks(d.StatusUpdatedTime.Time),
		a.kind, a.key1, a.key2, a.thumb1, a.thumb2,
		flag(d.Capabilities.IotEdge), d.DeviceScope, parents)
	return err
}

// auth is an Authentication as columns.
type auth struct{ kind, key1, key2, thumb1, thumb2 sql.NullString }

func authColumns(a *hubward.Authentication) auth {
	if a == nil {
		return auth{}
	}
	return auth{
		kind:   sql.NullString{String: string(a.Type), Valid: true},
		key1:   nullText(a.SymmetricKey.PrimaryKey),
		key2:   nullText(a.SymmetricKey.SecondaryKey),
		thumb1: nullText(a.X509Thumbprint.PrimaryThumbprint),
		thumb2: nullText(a.X509Thumbprint.SecondaryThumbprint),
	}
}

// DeviceStatistics counts the identities of a hub, modules left out.
func (s *Store) DeviceStatistics(ctx context.Context, hubName string) (hubward.RegistryStatistics, error) {
	var n hubward.RegistryStatistics
	err := s.read.each(ctx, func(row scanner) error {
		var status hubward.Status
		var count int
		if err := row.Scan(&status, &count); err != nil {
			return err
		}
		n.TotalDeviceCount += count
		switch status {
		case hubward.StatusEnabled:
			n.EnabledDeviceCount += count
		case hubward.StatusDisabled:
			n.DisabledDeviceCount += count
		}
		return nil
	}, `SELECT status, count(*) FROM devices WHERE hub = $1 AND module_id = '' GROUP BY status`, hubName)
	if err != nil {
		return hubward.RegistryStatistics{}, s.fail("sqlstore.DeviceStatistics", err)
	}
	return n, nil
}
