package sqlstore

import "context"

// NextEpoch counts one more start of a process, or one more backup of it, and returns its number once that is durable:
// greater than all numbers that this database has given before, to whatever process.
func (s *Store) NextEpoch(ctx context.Context) (uint64, error) {
	var epoch uint64
	err := s.update(ctx, "sqlstore.NextEpoch", func(tx *writeTx) error {
		row, err := tx.row(`UPDATE epoch SET number = number + 1 WHERE id = 1 RETURNING number`)
		if err != nil {
			return err
		}
		return row.Scan(&epoch)
	})
	return epoch, err
}

// Pairing tells which database this is, and with which log it was last opened.
type Pairing struct {
	ID     string // of the database; its copies have the same
	Opened uint64 // the number of the last start that the log knows too; 0: none
}

// Pairing returns what is stored.
func (s *Store) Pairing(ctx context.Context) (p Pairing, err error) {
	row, err := s.read.row(ctx, `SELECT id, opened FROM registry WHERE one = 1`)
	if err == nil {
		err = row.Scan(&p.ID, &p.Opened)
	}
	return p, s.fail("sqlstore.Pairing", err)
}

// SetOpened stores the number of a start that is in the log. It returns when that is durable.
func (s *Store) SetOpened(ctx context.Context, epoch uint64) error {
	return s.update(ctx, "sqlstore.SetOpened", func(tx *writeTx) error {
		_, err := tx.exec(`UPDATE registry SET opened = $1 WHERE one = 1`, epoch)
		return err
	})
}
