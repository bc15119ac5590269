// Package number reads numbers as the languages of clients print them: languages without integers print 3.0 and 1e2.
package number

import (
	"strconv"
	"strings"
)

// MaxExact is up to where all whole numbers are exact when Parse reads them.
const MaxExact = 1 << 53

// Parse reads a decimal number, such as 3, 3.0 or 1e2. It reports false for anything else, NaN, infinities and 0x1p3 among it.
func Parse(text string) (n float64, ok bool) {
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil && strings.Trim(text, "+-.0123456789eE") == ""
}
