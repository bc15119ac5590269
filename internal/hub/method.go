package hub

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

const (
	// maxMethodName bounds a method's name, in characters. It is our figure for what Azure/iotedge's edgeHub takes
	// (edge-hub/core/src/Microsoft.Azure.Devices.Edge.Hub.Http, DirectMethodRequest).
	maxMethodName = 100
	// maxPayloadDepth bounds how deep objects and arrays of a payload nest. The figure is ours: clients' parsers take as much.
	maxPayloadDepth = 200
)

// InvokeMethod calls a direct method of an identity that is connected to whatever node, and returns its answer. It waits for
// the identity to connect, and to take methods, as long as the call says; then for its answer. p has ServiceConnect.
//
// Errors: CodeUnauthorizedAccess, CodeNoSuchHub; CodeArgumentInvalid names the field; CodeFormatError for a payload that is no
// JSON; CodeMessageTooLarge; CodeDeviceNotFound, also for a disabled one, CodeModuleNotFound; CodeDeviceNotOnline;
// CodeDeviceConnectionClosed when it went without an answer; CodeGatewayTimeout; CodeBadDeviceResponse for an answer that is too
// long or no JSON; CodeThrottled when too many calls to it are under way, or wait for their identities; the cluster's; ctx's
// error. After CodeDeviceConnectionClosed, CodeGatewayTimeout, CodeBadDeviceResponse, CodeServiceUnavailable and ctx's, the
// device may have done what it was asked for.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-direct-methods.
func (h *Hub) InvokeMethod(ctx context.Context, p *access.Principal, id hubward.Identity, call hubward.MethodCall) (hubward.MethodResult, error) {
	s, _, err := h.permit(p, access.ServiceConnect, methodPaths(id)...)
	if err != nil {
		return hubward.MethodResult{}, err
	}
	result, err := h.invokeMethod(ctx, s, id, &call)
	h.observer.MethodCalled(s.ref.Name, err == nil, len(call.Payload), len(result.Payload))
	return result, err
}

func (h *Hub) invokeMethod(ctx context.Context, s *state, id hubward.Identity, call *hubward.MethodCall) (hubward.MethodResult, error) {
	c, err := newCallMethod(s.ref.Name, id, call)
	if err != nil {
		return hubward.MethodResult{}, err
	}
	result, err := h.callMethod(ctx, c)
	if hubward.CodeOf(err) != hubward.CodeDeviceNotOnline {
		return result, err
	}
	// Who is connected is registered and enabled: only of others the registry has to be asked.
	generation, unknown := h.checkCallable(ctx, s, id)
	if unknown != nil {
		return hubward.MethodResult{}, unknown
	}
	if call.ConnectTimeout == 0 {
		return hubward.MethodResult{}, err
	}
	c.Generation = generation
	return h.callWhenTaken(ctx, s, c, call.ConnectTimeout)
}

// methodPaths are what a back end's token may be limited to when it calls methods of an identity: the path of the REST call, or
// that of the identity.
func methodPaths(id hubward.Identity) [][]string {
	identity := access.PathOf(id)
	path := append([]string{"twins"}, identity[1:]...)
	return [][]string{append(path, "methods"), identity}
}

// newCallMethod checks a call.
func newCallMethod(hub string, id hubward.Identity, call *hubward.MethodCall) (callMethod, error) {
	c := callMethod{Hub: hub, Identity: id, Name: call.Name, Timeout: call.ResponseTimeout}
	if c.Timeout == 0 {
		c.Timeout = hubward.DefaultResponseTimeout
	}
	if err := checkMethodName(call.Name); err != nil {
		return c, err
	}
	if err := checkTimeout("responseTimeoutInSeconds", c.Timeout, hubward.MinResponseTimeout, hubward.MaxResponseTimeout); err != nil {
		return c, err
	}
	if err := checkTimeout("connectTimeoutInSeconds", call.ConnectTimeout, 0, hubward.MaxConnectTimeout); err != nil {
		return c, err
	}
	if call.ConnectTimeout > c.Timeout {
		return c, hubward.Errorf(hubward.CodeArgumentInvalid, "connectTimeoutInSeconds: %.0f is more than responseTimeoutInSeconds, which is %.0f",
			call.ConnectTimeout.Seconds(), c.Timeout.Seconds())
	}
	if n := len(call.Payload); n > hubward.MaxMethodPayload {
		return c, hubward.Errorf(hubward.CodeMessageTooLarge, "the payload has %d bytes, the limit is %d", n, hubward.MaxMethodPayload)
	}
	var err error
	c.Payload, err = canonicalPayload(call.Payload)
	return c, err
}

// canonicalPayload returns a payload as peers can read it; "null" when there is none.
func canonicalPayload(payload []byte) ([]byte, error) {
	if len(payload) == 0 {
		return []byte("null"), nil
	}
	return twindoc.CanonicalValue(make([]byte, 0, len(payload)), payload, maxPayloadDepth)
}

// checkMethodName sees that a name can be a level of the topic of a call, and be found there: clients split the topic at '/',
// and at the '?' of what follows; a topic holds neither '+' nor '#' ([MQTT-3.3.2-2]), nor control characters, which
// [MQTT-1.5.3-2] lets receivers close a connection for.
func checkMethodName(name string) error {
	n := utf8.RuneCountInString(name)
	switch {
	case n == 0:
		return hubward.Errorf(hubward.CodeArgumentInvalid, "methodName: it is missing")
	case n > maxMethodName:
		return hubward.Errorf(hubward.CodeArgumentInvalid, "methodName: it has %d characters, the limit is %d", n, maxMethodName)
	case !utf8.ValidString(name):
		return hubward.Errorf(hubward.CodeArgumentInvalid, "methodName: it is not UTF-8")
	case strings.ContainsAny(name, "/?#+") || strings.ContainsFunc(name, unicode.IsControl):
		return hubward.Errorf(hubward.CodeArgumentInvalid, "methodName: %q has one of / ? # + or a control character", name)
	}
	return nil
}

func checkTimeout(field string, d, least, most time.Duration) error {
	if d < least || d > most { // by how much is not said: front ends bound what they pass on
		return hubward.Errorf(hubward.CodeArgumentInvalid, "%s: it is not within %.0f to %.0f", field, least.Seconds(), most.Seconds())
	}
	if d%time.Second != 0 {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "%s: %s is no whole number", field, strconv.FormatFloat(d.Seconds(), 'f', -1, 64))
	}
	return nil
}

// checkCallable sees that an identity is registered and enabled, and returns its generation id.
//
// Errors: CodeDeviceNotFound, also for a disabled device; CodeModuleNotFound; the store's.
func (h *Hub) checkCallable(ctx context.Context, s *state, id hubward.Identity) (generation string, err error) {
	entry, err := h.enabledEntry(ctx, s, id)
	switch {
	case err == nil:
		return entry.GenerationID, nil
	case hubward.CodeOf(err) == hubward.CodeUnauthorizedAccess:
		return "", &hubward.Error{Code: hubward.CodeDeviceNotFound, Identity: id, Message: "The device '" + id.Device + "' is disabled."}
	}
	return "", err
}

// checkGeneration sees that an identity is still the one that a call is for, and not a later one of its name.
//
// Errors: CodeDeviceNotFound; CodeModuleNotFound.
func (c *callMethod) checkGeneration(now string) error {
	code := hubward.CodeDeviceNotFound
	if c.Identity.Module != "" {
		code = hubward.CodeModuleNotFound
	}
	if c.Generation == "" || c.Generation == now {
		return nil
	}
	return &hubward.Error{Code: code, Identity: c.Identity, Message: "'" + c.Identity.String() + "' was deleted while the call waited, and registered anew."}
}

// TakeMethods says whether the session takes direct methods. A link that has ended takes none.
func (l *Link) TakeMethods(yes bool) {
	if l.calls.take(yes, l.firstCall()) {
		l.hub.methodsTaken(l)
	}
}

// RespondMethod gives the answer to a call: the status is the device's own; payload is JSON, empty for none, and is copied.
// An answer to a call that nobody waits for (any more), or that was answered, is dropped.
func (l *Link) RespondMethod(id uint64, status int, payload []byte) {
	l.isActive()
	l.calls.answer(id, status, payload)
}
