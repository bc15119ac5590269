package device

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/hubward/hubward"
)

// refusedCall turns an answer that is no success into an error. Its code is that of the iothub-errorcode header, else
// the one of the body; when neither is known it is the HTTP status times 1000.
//
// Source: Azure/azure-iot-sdk-node common/transport/http/src/rest_api_client.ts.
func refusedCall(a *account, res *http.Response, body []byte) error {
	var e struct {
		Message   string          `json:"Message"` // matches "message" too
		ErrorCode json.RawMessage `json:"errorCode"`
	}
	json.Unmarshal(body, &e) // a body of another form is an error without a text
	name, text := "", e.Message
	if rest, ok := strings.CutPrefix(e.Message, "ErrorCode:"); ok {
		name, text, _ = strings.Cut(rest, ";")
	}
	code, known := hubward.CodeFromName(res.Header.Get("iothub-errorcode"))
	if !known {
		code, known = hubward.CodeFromName(name)
	}
	var number int
	if !known && json.Unmarshal(e.ErrorCode, &number) == nil && number/1000 == res.StatusCode {
		code, known = hubward.Code(number), true
	}
	if !known {
		code = hubward.Code(res.StatusCode * 1000)
		if text == "" {
			text = "the answer was HTTP " + res.Status
		}
	}
	if code == hubward.CodeUnauthorizedAccess {
		text = a.unauthorized()
	}
	return &hubward.Error{Code: code, Message: text}
}
