package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/certrequest"
)

const selectCertificateRequest = `SELECT request FROM certificate_requests WHERE hub = $1 AND device_id = $2 AND module_id = $3`

// CertificateRequest returns a device's slot, an empty one when there is none.
func (s *Store) CertificateRequest(ctx context.Context, hubName string, id hubward.Identity) (*certrequest.Slot, error) {
	const op = "sqlstore.CertificateRequest"
	row, err := s.read.row(ctx, selectCertificateRequest, hubName, id.Device, id.Module)
	if err != nil {
		return nil, s.fail(op, err)
	}
	slot, err := scanCertificateRequest(row)
	if err != nil {
		return nil, s.fail(op, err)
	}
	return slot, nil
}

// scanCertificateRequest reads a slot, an empty one of no row.
func scanCertificateRequest(row *sql.Row) (*certrequest.Slot, error) {
	var text string
	slot := new(certrequest.Slot)
	if err := row.Scan(&text); errors.Is(err, sql.ErrNoRows) {
		return slot, nil
	} else if err != nil {
		return nil, err
	}
	return slot, json.Unmarshal([]byte(text), slot)
}

// EditCertificateRequest changes a device's slot. The row of the device is locked first: two that find no slot would not be in each
// other's way.
//
// Errors: CodeDeviceNotFound, CodeModuleNotFound; that of edit.
func (s *Store) EditCertificateRequest(ctx context.Context, hubName string, id hubward.Identity, edit func(*certrequest.Slot) error) error {
	const op = "sqlstore.EditCertificateRequest"
	return s.update(ctx, op, func(tx *writeTx) error {
		if err := s.lock(tx, lockIdentity, hubName, id.Device, id.Module); err != nil {
			return err
		}
		row, err := tx.row(selectCertificateRequest, hubName, id.Device, id.Module)
		if err != nil {
			return err
		}
		slot, err := scanCertificateRequest(row)
		if err != nil {
			return err
		}
		if err := edit(slot); err != nil {
			return err
		}
		if slot.IsEmpty() {
			_, err := tx.exec(`DELETE FROM certificate_requests WHERE hub = $1 AND device_id = $2 AND module_id = $3`, hubName, id.Device, id.Module)
			return err
		}
		text, err := json.Marshal(slot)
		if err != nil {
			return err
		}
		_, err = tx.exec(`INSERT INTO certificate_requests (hub, device_id, module_id, request) VALUES ($1, $2, $3, $4)
			ON CONFLICT (hub, device_id, module_id) DO UPDATE SET request = excluded.request`, hubName, id.Device, id.Module, string(text))
		if s.dialect.isForeignKey(err) {
			return notFound(op, id)
		}
		return err
	})
}
