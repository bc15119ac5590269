package app

import (
	"context"

	"github.com/hubward/hubward/internal/store/sqlstore"
)

// BareRows is a table of rows in a store of the hub's kind, for measuring what a hub adds to it.
type BareRows = sqlstore.BareRows

// OpenBareRows makes one in a file that is not there yet, of so many rows with a document.
func OpenBareRows(ctx context.Context, path string, rows int, document []byte) (*BareRows, error) {
	return sqlstore.OpenBareRows(ctx, path, rows, document)
}
