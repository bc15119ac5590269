package cli

import (
	"bufio"
	"errors"
	"io"
)

// errLongLine is what lineReader says of a line that is longer than it keeps.
var errLongLine = errors.New("it is too long")

// lineReader reads lines of any length, of which it keeps those of up to limit bytes.
type lineReader struct {
	in     *bufio.Reader
	limit  int
	number int   // of the line that was read last, from 1
	offset int64 // of what comes next, in bytes
	line   []byte
}

func newLineReader(in io.Reader, limit int) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(in, 64<<10), limit: limit}
}

// next returns the next line, without its end, until the following call. The last line need have none.
//
// Errors: errLongLine, after which the line behind it can be read; io.EOF behind the last one; those of the input.
func (r *lineReader) next() ([]byte, error) {
	r.line = r.line[:0]
	r.number++
	long, empty := false, true
	for {
		piece, err := r.in.ReadSlice('\n')
		r.offset += int64(len(piece))
		empty = empty && len(piece) == 0
		ended := err == nil
		if ended {
			piece = piece[:len(piece)-1]
		}
		if long = long || len(r.line)+len(piece) > r.limit; !long {
			r.line = append(r.line, piece...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && !empty:
			ended = true
		}
		if !ended {
			return nil, err
		}
		if long {
			return nil, errLongLine
		}
		return r.line, nil
	}
}
