//go:build interop

package interop_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// maxMethodPayload is the most that a call of a direct method takes, and an answer, as JSON.
const maxMethodPayload = 128 << 10

// shortestResponse is the shortest time-out for an answer, in seconds.
const shortestResponse = 5

// A back end on each SDK calls a device on each SDK and transport.
func TestMethods(t *testing.T) {
	services := map[string]*driven{"node": familyOf(t, "node").openDrivenService(t), "python": familyOf(t, "python").openDrivenService(t)}
	together(t, twinKeepers(), func(t *testing.T, r receiving) {
		device, cs := createDevice(t, "methods-"+r.String())
		j := &methodJourney{device: device.DeviceID, family: r.sdk, client: r.openDrivenDevice(t, cs, "CLOSED=1"), services: services}
		j.appears(t)
		for by := range services {
			j.payloads(t, by)
			j.busy(t, by)
		}
		j.absentPayload(t)
		j.late(t)
		j.leaves(t)
	})
}

// methodJourney is one device's.
type methodJourney struct {
	device, family string
	client         *driven
	services       map[string]*driven
}

// called is what comes back of a call.
type called struct {
	Status  int             `json:"status"`
	Payload json.RawMessage `json:"payload"`
}

// methodFailure is what the service SDKs make of an error. Node has names for some.
func methodFailure(node, by string, status int, code string) failure {
	return failure{Name: map[string]string{"node": node, "python": "HttpOperationError"}[by], Status: status, Code: code}
}

// gone is the error of a device that is not there, by the hub's code for it.
func gone(by, code string) failure {
	return methodFailure("Error", by, http.StatusNotFound, code)
}

// call is the command that calls a method.
func (j *methodJourney) call(method string, payload any) fields {
	return fields{"device": j.device, "method": method, "payload": payload, "response": 60}
}

// appears calls a device that is not there, one that takes no methods, and one that comes while the call waits.
func (j *methodJourney) appears(t *testing.T) {
	t.Helper()
	waiting := map[string]<-chan outcome{}
	for by, service := range j.services {
		unknown := j.call("echo", 1)
		unknown["device"] = "nobody"
		wantValue(t, "the error of an unknown device", gone(by, "404001"), service.mustFail(t, "invoke", unknown))
		wantValue(t, "the error of a device that is away", gone(by, "404103"), service.mustFail(t, "invoke", j.call("echo", 1)))
		patient := j.call("echo", by)
		patient["connect"] = 60
		waiting[by] = service.begin(t, "invoke", patient)
	}
	j.client.must(t, "open", nil)
	for by, service := range j.services {
		wantValue(t, "the error of a device that takes no methods", gone(by, "404103"), service.mustFail(t, "invoke", j.call("echo", 1)))
	}
	j.client.must(t, "handle", nil)
	for by, service := range j.services {
		j.nextCall(t, "echo")
		wantAnswer(t, 207, asJSON(t, by), service.wait(t, waiting[by], "invoke"))
	}
}

// nextCall returns the payload of the next call that the device is asked for.
func (j *methodJourney) nextCall(t *testing.T, method string) json.RawMessage {
	t.Helper()
	select {
	case call := <-j.client.calls:
		if call.Method != method {
			t.Fatalf("the device is asked for %q, want %q", call.Method, method)
		}
		return call.Payload
	case <-j.client.done:
		t.Fatalf("the device ended:\n%s", j.client.client.stderr.String())
	case <-time.After(readerWithin):
		t.Fatalf("no call of %q comes", method)
	}
	return nil
}

// wantAnswer looks at what came back of a call.
func wantAnswer(t *testing.T, status int, payload string, o outcome) {
	t.Helper()
	if o.failure != nil {
		t.Fatalf("a call failed: %+v", *o.failure)
	}
	var got called
	decode(t, string(o.result), &got)
	if got.Status != status {
		t.Errorf("the status is %d, want %d", got.Status, status)
	}
	wantValue(t, "the payload that comes back", value(t, payload), value(t, string(got.Payload)))
}

// payloads go to the device and come back as they are, up to the greatest.
func (j *methodJourney) payloads(t *testing.T, by string) {
	t.Helper()
	greatest := strings.Repeat("x", maxMethodPayload-2)
	for _, payload := range []string{
		`{"a":[1,null,"two",{"b":{}}],"text":"ä € \" \\ 😀"}`, `[]`, `"text"`, `""`, `0`, `-12.5`, `false`, `true`, `"` + greatest + `"`,
	} {
		answer := j.services[by].begin(t, "invoke", j.call("echo", json.RawMessage(payload)))
		wantValue(t, "the payload on the device", value(t, payload), value(t, string(j.nextCall(t, "echo"))))
		wantAnswer(t, 207, payload, j.services[by].wait(t, answer, "invoke"))
	}
	got := j.services[by].mustFail(t, "invoke", j.call("echo", greatest+"x"))
	wantValue(t, "the error of too large a call", methodFailure("Error", by, http.StatusRequestEntityTooLarge, "MessageTooLarge"), got)

	answer := j.services[by].begin(t, "invoke", j.call("hold", fields{"key": "large"}))
	j.nextCall(t, "hold")
	j.client.must(t, "answer", fields{"key": "large", "status": 200, "payload": greatest + "x"})
	o := j.services[by].wait(t, answer, "invoke")
	if o.failure == nil {
		t.Fatalf("too large an answer ends with %.300s", o.result)
	}
	wantValue(t, "the error of too large an answer", methodFailure("BadDeviceResponseError", by, http.StatusBadGateway, "502001"), *o.failure)
}

// absentPayload is null for the device.
func (j *methodJourney) absentPayload(t *testing.T) {
	t.Helper()
	for _, body := range []string{`{"methodName":"echo"}`, `{"methodName":"echo","payload":null}`} {
		a := rest(t, connectionString(t, "HUBWARD_CONNECTION_STRING"), http.MethodPost, "/twins/"+j.device+"/methods", nil, body)
		wantValue(t, "the payload on the device", nil, value(t, string(j.nextCall(t, "echo"))))
		wantValue(t, "the answer", "200 "+`{"status":207,"payload":null}`, fmt.Sprint(a.status, " ", a.body))
	}
}

// busy has calls wait at once, and answers the last one first; but Java's SDK gives the program one after the other.
func (j *methodJourney) busy(t *testing.T, by string) {
	t.Helper()
	keys := []string{"a", "b", "c", "d"}
	waiting := map[string]<-chan outcome{}
	for _, key := range keys {
		waiting[key] = j.services[by].begin(t, "invoke", j.call("hold", fields{"key": key}))
	}
	answer := func(key string) {
		j.client.must(t, "answer", fields{"key": key, "status": int(key[0]), "payload": fields{"to": key}})
	}
	var asked []string
	for range keys {
		var payload struct{ Key string }
		decode(t, string(j.nextCall(t, "hold")), &payload)
		if asked = append(asked, payload.Key); j.family == "java" {
			answer(payload.Key)
		}
	}
	for _, key := range slices.Backward(asked) {
		if j.family != "java" {
			answer(key)
		}
		wantAnswer(t, int(key[0]), asJSON(t, fields{"to": key}), j.services[by].wait(t, waiting[key], "invoke"))
	}
}

// late is a device that answers when nobody waits any more: that is no answer to the next call. Node's SDK does not answer
// at all if the program has no handler of that name.
func (j *methodJourney) late(t *testing.T) {
	t.Helper()
	calls := []fields{j.call("hold", fields{"key": "late"})}
	if j.family == "node" {
		calls = append(calls, j.call("unheard of", nil))
	}
	for by, service := range j.services {
		var waiting []<-chan outcome
		for _, call := range calls {
			call["response"] = shortestResponse
			waiting = append(waiting, service.begin(t, "invoke", call))
		}
		for _, answer := range waiting {
			o := service.wait(t, answer, "invoke")
			if o.failure == nil {
				t.Fatalf("a call that is not answered ends with %s", o.result)
			}
			wantValue(t, "the error of a call without an answer", methodFailure("GatewayTimeoutError", by, http.StatusGatewayTimeout, "504101"), *o.failure)
		}
		j.nextCall(t, "hold")
		j.client.must(t, "answer", fields{"key": "late", "status": 500, "payload": "late"})
		wantAnswer(t, 207, asJSON(t, by), service.do(t, "invoke", j.call("echo", by)))
		j.nextCall(t, "echo")
	}
}

// leaves is a device that closes right after its answer, which is not lost. Java's SDK has no way to.
func (j *methodJourney) leaves(t *testing.T) {
	t.Helper()
	if j.family == "java" {
		return
	}
	wantAnswer(t, 207, `"bye"`, j.services["node"].do(t, "invoke", j.call("close", "bye")))
	j.nextCall(t, "close")
}
