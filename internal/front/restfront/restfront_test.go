package restfront_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/restfront"
)

// A request that the end of the process cuts short must not look like a success.
func TestCancelledRequest_isAnError(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	ctx, cancel := context.WithCancel(t.Context())
	r := f.request(ctx, ask{method: "PUT", path: "/devices/d2" + version, body: `{}`})
	cancel()
	w := httptest.NewRecorder()
	f.server.Config.Handler.ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), hubward.CodeServiceUnavailable.String()) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// What an error of ours says of our disks, or a library's, is for the log, wherever in the answer it would stand.
func TestDescribe(t *testing.T) {
	cause := errors.New("disk /var/lib is full")
	for _, test := range []struct {
		err  error
		code hubward.Code
		text string
	}{
		{hubward.Errorf(hubward.CodeArgumentInvalid, "status: it is wrong; really"), hubward.CodeArgumentInvalid, "status: it is wrong, really"},
		{hubward.Wrap(hubward.CodeUnauthorizedAccess, "op", cause), hubward.CodeUnauthorizedAccess, "Unauthorized"},
		{hubward.Wrap(hubward.CodeNoSuchPartition, "op", cause), hubward.CodeNoSuchPartition, "PartitionNotFound"},
		{&hubward.Error{Code: hubward.CodeServerError, Message: "disk /var/lib is full", Err: cause}, hubward.CodeServerError, "its log has the cause"},
		{&hubward.Error{Code: hubward.CodeServiceUnavailable, Message: "node 7 is slow"}, hubward.CodeServiceUnavailable, "try again"},
		{&hubward.Error{Code: hubward.CodeGatewayTimeout, Message: "it did not answer", Err: cause}, hubward.CodeGatewayTimeout, "it did not answer"},
		{hubward.Wrap(hubward.CodeGatewayTimeout, "op", cause), hubward.CodeGatewayTimeout, "GatewayTimeout"},
		{cause, hubward.CodeServerError, "its log has the cause"},
	} {
		code, text := restfront.Describe(test.err)
		if code != test.code || !strings.Contains(text, test.text) || strings.Contains(text, "disk") || strings.Contains(text, "node") {
			t.Errorf("%v: %s %q", test.err, code, text)
		}
	}
}

func TestPanic_isLoggedAndClosesTheConnection(t *testing.T) {
	f := newFixture(t)
	r := f.request(t.Context(), ask{path: "/devices/d1" + version})
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("recovered %v", got)
		}
		if log := f.logs.String(); !strings.Contains(log, "stack=") || !strings.Contains(log, "the writer is broken") {
			t.Errorf("log:\n%s", log)
		}
	}()
	f.server.Config.Handler.ServeHTTP(brokenWriter{httptest.NewRecorder()}, r)
}

type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) WriteHeader(int) { panic("the writer is broken") }

// Who counts connections is told of those with a request that was authenticated.
func TestLoggedIn(t *testing.T) {
	told := make(chan net.Conn, 100)
	f := newFixture(t, func(o *restfront.Options) { o.LoggedIn = func(nc net.Conn) { told <- nc } })
	f.do(ask{path: "/devices/d1" + version, token: "SharedAccessSignature sr=x&sig=eA%3D%3D&se=1"}).wantStatus(t, http.StatusUnauthorized)
	if len(told) != 0 {
		t.Error("a stranger has logged in")
	}
	f.do(ask{path: "/devices/d1" + version}).wantStatus(t, http.StatusNotFound)
	if nc := <-told; nc == nil {
		t.Error("which one is not told")
	}
}
