package hubward

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// TimeLayout is how the service writes an instant: UTC, seven fraction digits, Z. SDKs accept few other forms: Java cuts
// the text at '.' and 'Z' (ParserUtility.java of Azure/azure-iot-sdk-java) and so takes no offset, Python's msrest wants
// the T.
const TimeLayout = "2006-01-02T15:04:05.0000000Z"

// unsetTime is how the service writes "never". It has neither fraction nor Z.
const unsetTime = "0001-01-01T00:00:00"

// Time is an instant in the service's JSON. The zero Time means "never".
type Time struct{ time.Time }

// MarshalJSON writes the service's form.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.String() + `"`), nil
}

// UnmarshalJSON reads the service's form, any RFC 3339 time, and null.
func (t *Time) UnmarshalJSON(b []byte) error {
	text := string(bytes.Trim(b, `"`))
	if text == "null" || text == "" || text == unsetTime {
		*t = Time{}
		return nil
	}
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		parsed, err = time.Parse("2006-01-02T15:04:05.9999999", text) // no zone: UTC
	}
	if err != nil {
		return fmt.Errorf("not a time: %.40q", text)
	}
	*t = Time{parsed.UTC()}
	return nil
}

// ParseDuration reads a duration as people write it for Hubward, in options, flags and management calls: as Go does
// ("90m", "36h", "1h30m"), or a whole number of days ("7d"). Error: CodeArgumentInvalid.
func ParseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, Errorf(CodeArgumentInvalid, "%.40q is not a duration such as 90m, 36h or 7d", text)
	}
	return d, nil
}

// String returns the JSON form without quotes.
func (t Time) String() string {
	if t.IsZero() {
		return unsetTime
	}
	return t.UTC().Format(TimeLayout)
}
