package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/hubward/hubward"
)

// firstTwins is the version of the schema from which on there are twins.
const firstTwins = 6

// twins reads all twins that somebody has written to.
func (r *Report) twins(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, `SELECT `+twinColumns+`, devices.hub, devices.device_id, devices.module_id FROM devices`+joinTwin+`
		WHERE t.id IS NOT NULL OR r.id IS NOT NULL ORDER BY devices.hub, devices.device_id, devices.module_id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() && len(r.Problems) < maxProblems {
		var twin twinRows
		var hubName string
		var id hubward.Identity
		if err := rows.Scan(append(twin.columns(), &hubName, &id.Device, &id.Module)...); err != nil {
			return err
		}
		err := twin.complete()
		if err == nil {
			err = twin.Check()
		}
		if err != nil {
			r.Problems = append(r.Problems, fmt.Sprintf("the twin of %s of the hub %s: %v", id, hubName, err))
		}
	}
	return rows.Err()
}
