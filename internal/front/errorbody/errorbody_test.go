package errorbody_test

import (
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/errorbody"
)

func TestEncode(t *testing.T) {
	at := time.Date(2026, 3, 1, 13, 0, 0, 12, time.FixedZone("", 3600))
	got, err := errorbody.Encode(hubward.CodeArgumentInvalid, "0af1", `a < "b"`, at)
	want := `{"errorCode":400004,"trackingId":"0af1-G:0-TimeStamp:03/01/2026 12:00:00","message":"a < \"b\"","timestampUtc":"2026-03-01T12:00:00.0000000Z"}`
	if string(got) != want || err != nil {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}
