package hub

import (
	"fmt"

	"github.com/hubward/hubward"
)

// DamageError says that stored events cannot be read as they were written: a bad sector, a file that somebody changed. Logs
// return it from all that reads events. Its code is CodeServerError.
type DamageError struct {
	Partition Partition
	Sequence  int64 // all events before it can be read, as far as is known
	Err       error // how that was found
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("partition %v is damaged at or after sequence number %d: %v", e.Partition, e.Sequence, e.Err)
}

// Unwrap returns the error of the hub's API that this is.
func (e *DamageError) Unwrap() error {
	return &hubward.Error{Code: hubward.CodeServerError, Op: "hub.read", Message: e.Text(), Err: e.Err}
}

// Text is what a reader may know, and should tell its operator.
func (e *DamageError) Text() string {
	return fmt.Sprintf("The stored events of partition %d are damaged at or after sequence number %d. Whoever runs the hub has to look at it.",
		e.Partition.ID, e.Sequence)
}
