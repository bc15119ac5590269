package amqpfront_test

import (
	"net"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/sas"
)

const partition0 = "plant/ConsumerGroups/$Default/Partitions/0"

func TestLogin_plain(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createHub("other", "other.example")
	d, err := f.PutDevice(t.Context(), f.process, hubward.Device{DeviceID: "d@sas.1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	deviceToken, err := sas.Sign(host+"/devices/d@sas.1", string(d.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	wholeHub, err := sas.Sign(host, string(d.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	f.createDevice("d2")
	address := f.listen()
	const reads, logsIn, refused = "reads", "logs in", "refused"
	rows := map[string]struct{ user, password, want string }{
		"service":                  {"iothubowner@sas.root.plant", f.token("iothubowner", host, time.Hour), reads},
		"any hub name":             {"service@sas.root.localhost", f.token("service", host, time.Hour), reads},
		"policy and key":           {"service", f.policyKey("service"), reads},
		"device":                   {"d@sas.1@sas.plant", deviceToken, logsIn},
		"device by policy":         {"d2@sas.plant", f.token("device", host, time.Hour), logsIn},
		"device, for all the hub":  {"d@sas.1@sas.plant", wholeHub, logsIn},
		"a device that is not":     {"d3@sas.plant", f.token("device", host, time.Hour), refused},
		"no device":                {"@sas.plant", f.token("device", host, time.Hour), refused},
		"a right that is no help":  {"registryRead", f.policyKey("registryRead"), logsIn},
		"wrong key":                {"service", f.policyKey("device"), refused},
		"no such policy":           {"nobody", f.policyKey("service"), refused},
		"expired token":            {"service@sas.root.plant", f.token("service", host, -time.Minute), refused},
		"another policy's token":   {"iothubowner@sas.root.plant", f.token("service", host, time.Hour), refused},
		"another device's token":   {"d2@sas.plant", deviceToken, refused},
		"a key for a token":        {"service@sas.root.plant", f.policyKey("service"), refused},
		"a token for another host": {"service@sas.root.plant", f.token("service", "nowhere.example", time.Hour), refused},
		"nothing":                  {"", "", refused},
	}
	for name, r := range rows {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		p, err := newPeer(t, nc, amqp.ConnOptions{SASLType: amqp.SASLTypePlain(r.user, r.password)})
		if (err != nil) != (r.want == refused) {
			t.Errorf("%s: %v, want: %s", name, err, r.want)
		}
		if err != nil {
			nc.Close()
			continue
		}
		if _, err = p.reader(partition0, "", amqp.ReceiverOptions{}); (err == nil) != (r.want == reads) {
			t.Errorf("%s reads: %v", name, err)
		}
		p.conn.Close()
	}
}

// Who logs in as a device by a policy's token speaks for that device alone.
func TestLogin_plainAsOneDevice(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	f.createDevice("d2")
	p := f.dial(f.listen(), amqp.ConnOptions{SASLType: amqp.SASLTypePlain("d1@sas.plant", f.token("device", host, time.Hour))})
	if err := send(t, p.mustSend(telemetryOf("d1")), data("x")); err != nil {
		t.Error(err)
	}
	_, err := p.sender(telemetryOf("d2"))
	wantCondition(t, "another device", err, "amqp:unauthorized-access")
}

func TestLogin_otherMechanisms(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	address := f.listen()
	p := f.dial(address, amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous()})
	if code, text := p.putToken(f.token("service", host, time.Hour)); code != 200 {
		t.Errorf("anonymous: %d %s", code, text)
	}
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := newPeer(t, nc, amqp.ConnOptions{SASLType: amqp.SASLTypeExternal("")}); err == nil {
		t.Error("EXTERNAL without a certificate is accepted")
	}
}

func TestOpen_findsTheHub(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createHub("other", "other.example")
	address := f.listen()
	rows := map[string]struct{ hostname, hub, condition string }{
		"name":          {"plant.example", "plant", ""},
		"case and port": {"Plant.Example:5671", "plant", ""},
		"dot":           {"plant.example.", "plant", ""},
		"endpoint":      {"plant.service.example:5671", "plant", ""},
		"path":          {"localhost/$servicebus/websocket", "plant", ""},
		"second hub":    {"other.localhost", "other", ""},
		"unknown":       {"nowhere.example", "", "com.microsoft:iot-hub-not-found-error"},
	}
	for name, r := range rows {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		p, err := newPeer(t, nc, amqp.ConnOptions{HostName: r.hostname})
		if err == nil && r.condition != "" {
			_, err = p.session.NewSender(p.context(), "$cbs", nil)
		}
		if r.condition != "" {
			wantCondition(t, name, err, r.condition)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		token, err := sas.Sign(r.hub+".localhost", f.keys[r.hub+"/service"].PrimaryKey, "service", time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if code, text := p.putToken(token); code != 200 {
			t.Errorf("%s: a token of %s: %d %s", name, r.hub, code, text)
		}
	}
}

// A log-in is good for its hub only.
func TestOpen_refusesTheLoginOfAnotherHub(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createHub("other", "other.example")
	nc, err := net.Dial("tcp", f.listen())
	if err != nil {
		t.Fatal(err)
	}
	_, err = newPeer(t, nc, amqp.ConnOptions{
		HostName: "other.example", SASLType: amqp.SASLTypePlain("service@sas.root.plant", f.token("service", host, time.Hour)),
	})
	wantCondition(t, "open", err, "amqp:unauthorized-access")
}

func TestDeviceLinks_needTheRight(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	d, err := f.PutDevice(t.Context(), f.process, hubward.Device{DeviceID: "d1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	token, err := sas.Sign(host+"/devices/d1", string(d.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	p := f.dial(f.listen(), amqp.ConnOptions{})
	if code, text := p.putToken(token); code != 200 {
		t.Fatal(code, text)
	}
	for address, want := range map[string]string{
		"/devices/d2/twin": "amqp:unauthorized-access", "/messages/devicebound": "amqp:unauthorized-access",
		"/devices/d2/streams": "amqp:unauthorized-access", "/devices/d2/methods/devicebound": "amqp:unauthorized-access",
		"/devices/d2/messages/events": "amqp:unauthorized-access",
		"plant":                       "amqp:unauthorized-access", "/devices/d1/modules/m/twin": "amqp:unauthorized-access",
		"/devices/d1/messages/devicebound": "amqp:not-allowed",
	} {
		_, err := p.session.NewSender(p.context(), address, nil)
		wantCondition(t, "sender to "+address, err, want)
	}
	for _, address := range []string{"/devices/d2/messages/devicebound", "/messages/serviceBound/feedback", "/messages/servicebound/filenotifications"} {
		_, err = p.session.NewReceiver(p.context(), address, nil)
		wantCondition(t, address, err, "amqp:unauthorized-access")
	}
	_, err = p.session.NewReceiver(p.context(), partition0, nil)
	wantCondition(t, "a device reads events", err, "amqp:unauthorized-access")
}

func TestServiceLinks(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.owner(f.listen())
	_, err := p.session.NewReceiver(p.context(), "/messages/deviceBound", nil)
	wantCondition(t, "receiving what is for devices", err, "amqp:not-allowed")
	for _, address := range []string{"/messages/serviceBound/feedback", "/messages/servicebound/filenotifications"} {
		_, err := p.session.NewSender(p.context(), address, nil)
		wantCondition(t, "sending to "+address, err, "amqp:not-allowed")
	}
	for _, address := range []string{"plant", "/plant", "plant/Partitions/0", "amqps://" + host + "/plant"} {
		_, err := p.session.NewSender(p.context(), address, nil)
		wantCondition(t, "sender to "+address, err, "amqp:unauthorized-access")
	}
	_, err = p.session.NewSender(p.context(), "elsewhere", nil)
	wantCondition(t, "another event hub", err, "amqp:not-found")
	_, err = p.session.NewReceiver(p.context(), "a/b/c/d", nil)
	wantCondition(t, "no such thing", err, "amqp:not-found")
}

// Who counts connections is told which of them have logged in: by SASL, or with a token.
func TestLoggedIn(t *testing.T) {
	told := make(chan net.Conn, 100)
	f := newFixture(t, amqpfront.Options{LoggedIn: func(nc net.Conn) { told <- nc }})
	address := f.listen()
	stranger := f.dial(address, amqp.ConnOptions{})
	if code, _ := stranger.putToken("SharedAccessSignature sr=x&sig=eA%3D%3D&se=1"); code == 200 {
		t.Fatal("a bad token is good")
	}
	if len(told) != 0 {
		t.Error("a stranger has logged in")
	}
	f.device(address, "d1")
	first := <-told
	f.dial(address, amqp.ConnOptions{SASLType: amqp.SASLTypePlain("service", f.policyKey("service"))})
	if second := <-told; first == nil || second == nil || first == second {
		t.Error("they are not told apart")
	}
}
