package sqlstore_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hubward/hubward/internal/store/sqlstore"
)

func TestBareRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.db")
	const n = 300 // more than fit into one transaction
	rows, err := sqlstore.OpenBareRows(t.Context(), path, n, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	var writing sync.WaitGroup
	for row := range n {
		writing.Go(func() {
			for version := range 3 {
				if err := rows.Update(t.Context(), row, fmt.Appendf(nil, "%d.%d", row, version)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	if err := rows.Update(t.Context(), 0, nil); err == nil {
		t.Error("a row was written after the end")
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var right int
	if err := db.QueryRow(`SELECT count(*) FROM rows WHERE document = CAST(id || '.2' AS BLOB)`).Scan(&right); err != nil || right != n {
		t.Errorf("%d of %d rows are as they were written, %v", right, n, err)
	}
	if _, err := sqlstore.OpenBareRows(t.Context(), path, n, nil); err == nil {
		t.Error("a database that is there was opened anew")
	}
}
