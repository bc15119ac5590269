package mqttfront_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/mqttwire"
)

// A certificate comes, though the hub was started anew after it took the request, and the device never asked again.
func TestCertificates_restart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCertificates(t, 1)
		c.session = true
		c.begins()
		c.asks("rid-1", c.body(""))
		c.gets(202, "rid-1")
		c.nodes[0].restart()
		c.connects(0)
		a, _ := c.reads() // which is not acknowledged
		if a.status != 200 || a.rid != "rid-1" {
			t.Fatal(a)
		}
		c.nodes[0].restart()
		c.connects(0)
		if again := c.gets(200, "rid-1"); again.raw != a.raw {
			t.Errorf("%s, and then %s", a.raw, again.raw)
		}
		c.getsNothing()
		c.nodes[0].restart()
		c.connects(0)
		c.getsNothing()
	})
}

// What was not acknowledged comes again, at whichever node; on one connection it comes once.
func TestCertificates_unacknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCertificates(t, 1)
		c.session = true
		c.begins()
		c.asks("rid-1", c.body(""))
		c.gets(202, "rid-1")
		if a, id := c.reads(); a.status != 200 || id < 65520 {
			t.Fatal(a, id)
		}
		c.subscribes()
		c.getsNothing()
		c.asks("rid-2", c.body(""))
		c.getsError("rid-2", hubward.CodeCredentialOperationActive)
		for _, node := range []int{1, 0} {
			c.connects(node)
			if a, _ := c.reads(); a.status != 200 {
				t.Fatal(a)
			}
		}
		c.session = false
		c.connects(1)
		c.getsNothing()
	})
}

// A client that acknowledges nothing does not get more at QoS 1 than there are identifiers: what it does not wait for comes at QoS 0.
func TestCertificates_identifiersRunOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCertificates(t, 1)
		c.begins()
		ids := make(map[uint16]bool)
		for range 16 {
			c.asks("rid-1", "no JSON")
			_, id := c.reads()
			ids[id] = true
		}
		if len(ids) != 16 {
			t.Errorf("%d identifiers", len(ids))
		}
		c.asks("rid-2", c.body(""))
		c.qos = 0
		c.gets(202, "rid-2")
		c.qos = 1
		c.getsNothing() // the certificate waits for an identifier
		c.acknowledges(65530)
		if a, id := c.reads(); a.status != 200 || id != 65530 {
			t.Errorf("%v, %d", a, id)
		}
	})
}

func TestCertificates_rate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCertificates(t, 0)
		c.begins()
		for i := range 10 {
			c.asks(fmt.Sprint("rid-", i), c.body(`,"replace":"*"`))
			c.gets(202, fmt.Sprint("rid-", i))
		}
		c.asks("rid-10", c.body(`,"replace":"*"`))
		a := c.gets(429, "rid-10")
		if a.body["errorCode"] != 429002.0 || a.body["retryAfter"] != 60.0 {
			t.Error(a.raw)
		}
		c.getsCertificate("rid-9")
	})
}

// A hub issues none to modules.
func TestCertificates_module(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCertificates(t, 1)
		id := hubward.Identity{Device: "d1", Module: "m"}
		c.nodes[0].createModule(id, c.device.Authentication)
		c.client = c.nodes[0].connected(loginAs(id, tokenOf(t, id, c.device.Authentication)))
		c.subscribes()
		c.asks("rid-1", c.body(""))
		c.getsError("rid-1", hubward.CodeArgumentInvalid)
		c.getsNothing()
	})
}

// Once it is switched off, a request that was taken gets the reason.
func TestCertificates_switchedOffMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCertificates(t, 1)
		c.begins()
		c.asks("rid-1", c.body(""))
		c.gets(202, "rid-1")
		off := false
		if _, err := c.nodes[0].hub.UpdateCertificateIssuer(t.Context(), access.Process(access.HubRef{}), "plant", hub.IssuerChange{Enabled: &off}); err != nil {
			t.Fatal(err)
		}
		c.getsError("rid-1", hubward.CodeCredentialPreconditionFailed)
		c.getsNothing()
	})
}

// A device may stay connected with its token while it renews its certificate, at whatever filter covers the answers.
func TestCertificates_otherFilters(t *testing.T) {
	for _, filter := range []string{"$iothub/#", "$iothub/credentials/#", "$iothub/credentials/res/+/+", "$iothub/+/res/#"} {
		synctest.Test(t, func(t *testing.T) {
			c := newCertificates(t, 1)
			c.connects(0)
			c.subscribe(1, filter)
			c.asks("rid-1", c.body(""))
			c.gets(202, "rid-1")
			c.getsCertificate("rid-1")
			c.ping()
		})
	}
}

// A device may leave as soon as it has asked: the certificate waits for its next connection.
func TestCertificates_leavesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCertificates(t, 1)
		c.connects(0)
		c.packets++
		c.publish(1, c.packets, credentialsAsk+"rid-1", c.body(""))
		c.send(mqttwire.AppendDisconnect(nil), nil)
		c.connects(1)
		c.subscribes()
		c.getsCertificate("rid-1")
	})
}
