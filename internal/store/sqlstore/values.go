package sqlstore

import (
	"database/sql"
	"encoding/json"
	"time"

	"github.com/hubward/hubward"
)

// scanner is a row.
type scanner interface {
	Scan(dest ...any) error
}

// ticksPerSecond makes a tick of 100 ns, the precision of hubward.TimeLayout.
const ticksPerSecond = 10_000_000

// ticks is how a time is stored: 100 ns since 1970, rounded down. It covers the years that JSON can show.
func ticks(t time.Time) int64 {
	return t.Unix()*ticksPerSecond + int64(t.Nanosecond()/100)
}

// nullTicks stores the zero time as NULL.
func nullTicks(t time.Time) sql.NullInt64 {
	if t.IsZero() {
		return sql.NullInt64{} // equal to what is scanned
	}
	return sql.NullInt64{Int64: ticks(t), Valid: true}
}

func timeOf(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.Unix(n.Int64/ticksPerSecond, n.Int64%ticksPerSecond*100).UTC()
}

func wireTime(n sql.NullInt64) hubward.Time { return hubward.Time{Time: timeOf(n)} }

// nullText stores "" as NULL.
func nullText[S ~string](s S) sql.NullString {
	return sql.NullString{String: string(s), Valid: s != ""}
}

// jsonList stores a list, nil as an empty one.
func jsonList[E any](list []E) (string, error) {
	if len(list) == 0 {
		return "[]", nil
	}
	text, err := json.Marshal(list)
	return string(text), err
}

// listOf reads what jsonList wrote, an empty list as nil.
func listOf[E any](text string) ([]E, error) {
	var list []E
	if text == "[]" {
		return nil, nil
	}
	err := json.Unmarshal([]byte(text), &list)
	return list, err
}

// notNull stores nil as an empty blob.
func notNull(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

// flag stores a boolean as an integer, which every engine has.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
