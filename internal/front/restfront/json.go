package restfront

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/httpserver"
	"github.com/hubward/hubward/internal/utf8text"
)

// Bounds of request bodies, in bytes. A device identity is below 2 KiB; a bulk call has up to 100 items, which may
// carry twins of up to 64 KiB each.
const (
	maxBody     = 1 << 20
	maxBulkBody = 8 << 20
)

// readBody returns the whole body, up to limit bytes. Then the call has its time anew.
//
// Errors: CodeMessageTooLarge; CodeRequestTimeout when it comes too slowly.
func (c *call) readBody(limit int64) ([]byte, error) {
	body, err := httpserver.ReadBody(c.w, http.MaxBytesReader(c.w, c.r.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, hubward.Errorf(hubward.CodeMessageTooLarge, "the body is larger than %d bytes", limit)
	}
	if err != nil {
		return nil, &hubward.Error{Code: hubward.CodeRequestTimeout, Message: "the body did not arrive", Err: err}
	}
	c.renew()
	return body, nil
}

// decode reads one JSON document into v and refuses anything after it. Names are compared without case and unknown
// ones ignored, as encoding/json does and clients rely on. A byte order mark is skipped.
//
// Errors: CodeFormatError for what is no JSON or no UTF-8, CodeArgumentInvalid naming the member that has the wrong type.
func decode(body []byte, v any) error {
	body, err := utf8text.Check(body)
	if err != nil {
		return hubward.Errorf(hubward.CodeFormatError, "the body is no JSON: %s", err)
	}
	if text := bytes.TrimSpace(body); len(text) == 0 {
		return hubward.Errorf(hubward.CodeArgumentNull, "the request has no body")
	} else if string(text) == "null" {
		return hubward.Errorf(hubward.CodeArgumentNull, "the body is null")
	}
	return decodeError(json.Unmarshal(body, v))
}

// decodeError says what is wrong with JSON, and where, in the words of a client; nil for nil.
func decodeError(err error) error {
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrongType):
		return hubward.Errorf(hubward.CodeArgumentInvalid, "%s: a JSON %.40s does not fit here", fieldName(wrongType), wrongType.Value)
	case errors.As(err, &syntax):
		return hubward.Errorf(hubward.CodeFormatError, "the body is no JSON: %s, at byte %d", syntax.Error(), syntax.Offset)
	}
	return hubward.Errorf(hubward.CodeArgumentInvalid, "the body cannot be read: %.120s", err.Error())
}

// fieldName is the member's path in the body, which knows nothing of the types that ours share.
func fieldName(e *json.UnmarshalTypeError) string {
	return cmp.Or(strings.ReplaceAll(e.Field, "identityBody.", ""), "the body")
}

// answer writes v as the JSON body of a response.
func (c *call) answer(status int, v any) error {
	body, err := marshal(v)
	if err != nil {
		return err
	}
	return c.answerJSON(status, body)
}

// answerJSON writes a JSON body.
func (c *call) answerJSON(status int, body []byte) error {
	c.setHeader("Content-Type", "application/json; charset=utf-8")
	c.begin(status, len(body))
	c.w.Write(body) // a client that left is nobody to tell
	return nil
}

// begin writes the header of an answer with a body of so many bytes.
func (c *call) begin(status, size int) {
	httpserver.Answer(c.w, size)
	c.w.WriteHeader(status)
}

// done answers 204, without a body.
func (c *call) done() error {
	c.begin(http.StatusNoContent, 0)
	return nil
}

// marshal is json.Marshal without escapes for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, hubward.Wrap(hubward.CodeServerError, "restfront.marshal", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
