package sqlstore

import "context"

// NextEpoch counts one more start of a process, and returns its number once that is durable: greater than all numbers that
// this database has given before, to whatever process.
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
