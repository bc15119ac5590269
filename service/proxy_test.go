package service_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hubward/hubward/service"
)

// Calls go through the proxy of the environment, whose password no error shows. The environment is read once by a process.
func TestClient_proxyOfTheEnvironment(t *testing.T) {
	if os.Getenv("SERVICE_TEST_PROXY") != "" {
		c, err := service.NewFromConnectionString("HostName=hub.test;SharedAccessKeyName=service;SharedAccessKey=AAECAw==", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Device(t.Context(), "d1")
		fmt.Println(err)
		return
	}
	asked := make(chan string, 10)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
		asked <- strings.Join([]string{r.Method, r.Host, user, password}, " ")
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestClient_proxyOfTheEnvironment$", "-test.v")
	cmd.Env = []string{"SERVICE_TEST_PROXY=1", "HTTPS_PROXY=" + strings.Replace(proxy.URL, "http://", "http://name:s3cr3t@", 1)}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Forbidden") || strings.Contains(string(out), "s3cr3t") {
		t.Errorf("%v: %s", err, out)
	}
	proxy.Close() // no call is under way
	close(asked)
	if got := <-asked; got != "CONNECT hub.test:443 name s3cr3t" {
		t.Errorf("the proxy was asked to %q", got)
	}
}
