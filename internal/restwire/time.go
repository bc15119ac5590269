package restwire

import (
	"strconv"
	"time"
)

// headerTime is how the cloud service writes times of a delivery: US order, twelve hours, UTC, as in "12/22/2017
// 12:14:12 AM". .NET takes any form that it can parse and leaves the time out otherwise.
//
// Source: Azure/azure-iot-sdk-csharp iothub/device/src/Transport/Http/HttpTransportHandler.cs.
const headerTime = "1/2/2006 3:04:05 PM"

// FormatTime writes a time of a delivery, whole seconds; the zero time is empty.
func FormatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(headerTime)
}

// timeLayouts are the forms in which clients write times. Those without a zone are UTC.
var timeLayouts = [...]string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", headerTime, time.RFC1123,
}

// ParseTime reads a time as clients and the cloud service write it: ISO 8601, with or without a zone; the service's own
// form; that of HTTP; milliseconds since 1970. An empty text and times before 1970, as the year 1 that Go and .NET
// call "not set", are the zero time. It reports false when text is none of these.
func ParseTime(text string) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	for _, layout := range timeLayouts {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if t = t.UTC(); t.Unix() < 0 {
			t = time.Time{}
		}
		return t, true
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms >= 0 && ms <= maxMillis {
		return time.UnixMilli(ms).UTC(), true
	}
	return time.Time{}, false
}

// maxMillis is the end of the year 9999, the last that the other forms can say.
const maxMillis = 253402300799999
