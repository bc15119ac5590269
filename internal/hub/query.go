package hub

import (
	"context"
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// Limits of queries.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-query-language (length);
// learn.microsoft.com/rest/api/iothub/service/query/get-twins (rows of a page).
const (
	maxQueryLength = 8192 // characters
	maxQueryPage   = 100  // rows of a page, which is also the default

	// Ours: a page ends early, and memory is bounded, when twins are large. What they say when they were written is up to ten
	// times what was written.
	maxQueryBytes = 4 << 20
	queryRead     = 25 // twins that are read at once
)

// Query is one page of a query.
type Query struct {
	Text         string
	Continuation string // of the page before; empty: the first page
	MaxItems     int    // rows of the page: 0 means 100, as does everything above
}

// QueryPage is a page of a query's rows.
type QueryPage struct {
	Twins        []hubward.Twin
	Continuation string // what the next page is asked for with; empty: this was the last one
}

// Query returns one page of a query's rows. The only one that this hub has yet is SELECT * FROM devices, by which clients list
// more devices than Devices lists. Rows come in the order of their ids; a device that is there all the time is in exactly
// one of the pages. p has RegistryRead, by learn.microsoft.com/azure/iot-hub/how-to-device-twins, or ServiceConnect, which is good
// for reading any twin.
//
// Errors: CodeUnauthorizedAccess, CodeNoSuchHub; CodeArgumentInvalid names what is wrong; CodeInvalidOperation for any other query.
//
// Source: learn.microsoft.com/rest/api/iothub/service/query/get-twins.
func (h *Hub) Query(ctx context.Context, p *access.Principal, q Query) (QueryPage, error) {
	s, _, err := h.permit(p, access.ServiceConnect, allDevices)
	if hubward.CodeOf(err) == hubward.CodeUnauthorizedAccess {
		s, _, err = h.permit(p, access.RegistryRead, allDevices)
	}
	if err != nil {
		return QueryPage{}, err
	}
	if err := checkQuery(q); err != nil {
		return QueryPage{}, err
	}
	after, err := parseContinuation(q.Continuation)
	if err != nil {
		return QueryPage{}, err
	}
	limit := maxQueryPage
	if q.MaxItems > 0 {
		limit = min(q.MaxItems, maxQueryPage)
	}
	return h.queryPage(ctx, s.ref.Name, after, limit)
}

// queryPage reads a page of up to limit twins, a few at a time, and ends it when it is large.
func (h *Hub) queryPage(ctx context.Context, hub, after string, limit int) (page QueryPage, err error) {
	size := 0
	for {
		n := min(limit-len(page.Twins), queryRead)
		// One more tells whether there is another page: clients fail on an empty one.
		rows, err := h.store.Twins(ctx, hub, after, n+1)
		if err != nil {
			return QueryPage{}, err
		}
		for i := range rows[:min(n, len(rows))] {
			twin, err := h.liveTwin(ctx, hub, &rows[i])
			if err != nil {
				return QueryPage{}, err
			}
			page.Twins = append(page.Twins, *twin)
			after = twin.DeviceID
			size += twinSize(twin)
			if isLast := i == len(rows)-1; !isLast && (len(page.Twins) == limit || size > maxQueryBytes) {
				page.Continuation = newContinuation(after)
				return page, nil
			}
		}
		if len(rows) <= n {
			return page, nil
		}
	}
}

func checkQuery(q Query) error {
	if n := utf8.RuneCountInString(q.Text); n > maxQueryLength {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "query: %d characters are more than %d", n, maxQueryLength)
	}
	if strings.TrimSpace(q.Text) == "" {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "query: it is empty")
	}
	if q.MaxItems < 0 {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "the page: %d rows are none", q.MaxItems)
	}
	if !isAllDevices(q.Text) {
		return hubward.Errorf(hubward.CodeInvalidOperation, "this hub does not have queries yet, but for SELECT * FROM devices")
	}
	return nil
}

// isAllDevices reports whether a query asks for the twins of all devices. Keywords and the name of the collection are
// compared without case.
func isAllDevices(text string) bool {
	words := strings.Fields(strings.ReplaceAll(text, "*", " * "))
	return strings.EqualFold(strings.Join(words, " "), "SELECT * FROM devices")
}

// A continuation is opaque, and good for as long as anybody likes: it names the last row that was given out, not a position.
// The prefix tells it from those of queries to come.
const continuationPrefix = "devices>"

func newContinuation(last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(continuationPrefix + last))
}

// parseContinuation returns the id behind which the page begins.
func parseContinuation(text string) (after string, err error) {
	if text == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	after, ok := strings.CutPrefix(string(raw), continuationPrefix)
	if err != nil || !ok || hubward.ValidateID(after) != nil {
		return "", hubward.Errorf(hubward.CodeArgumentInvalid, "the continuation is none that this query has given")
	}
	return after, nil
}
