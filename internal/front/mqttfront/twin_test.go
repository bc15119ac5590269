package mqttfront_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/mqttfront"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/mqttwire"
)

const (
	answerFilter  = "$iothub/twin/res/#"
	desiredFilter = "$iothub/twin/PATCH/properties/desired/#"
	getTopic      = "$iothub/twin/GET/?$rid="
	reportedTopic = "$iothub/twin/PATCH/properties/reported/?$rid="
)

// bothLogins are the CONNECTs of d1 and of its module.
func (f *fixture) bothLogins() map[hubward.Identity]*mqttwire.ConnectPacket {
	f.t.Helper()
	d := f.createDevice("d1")
	f.createModule(m1, keys())
	return map[hubward.Identity]*mqttwire.ConnectPacket{d1: login(f.t, d), m1: loginAs(m1, tokenOf(f.t, m1, keys()))}
}

// reported returns the reported properties of an identity, without what the hub adds.
func (f *fixture) reported(id hubward.Identity) (properties string, version int64) {
	f.t.Helper()
	twin, err := f.hub.Twin(f.t.Context(), f.plant, id)
	if err != nil {
		f.t.Fatal(err)
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(twin.Properties.Reported, &members); err != nil {
		f.t.Fatal(err)
	}
	if err := json.Unmarshal(members["$version"], &version); err != nil {
		f.t.Fatal(err)
	}
	delete(members, "$version")
	delete(members, "$metadata")
	text, err := json.Marshal(members)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text), version
}

func (f *fixture) wantReported(id hubward.Identity, properties string, version int64) {
	f.t.Helper()
	if got, v := f.reported(id); got != properties || v != version {
		f.t.Errorf("reported %s of version %d, want %s of %d", got, v, properties, version)
	}
}

// answer reads an answer, and checks its topic behind $iothub/twin/res/.
func (c *client) answer(topic string) (body string) {
	c.t.Helper()
	rest, p := c.publishOf("$iothub/twin/res/")
	if rest != topic {
		c.t.Errorf("the answer goes to %s, want %s", rest, topic)
	}
	return string(p.Payload)
}

// refused reads an answer that tells of an error, and checks all of it but its text, which it returns.
func (c *client) refused(rid string, code hubward.Code) (message string) {
	c.t.Helper()
	body := c.answer(fmt.Sprintf("%d/?$rid=%s", code.HTTPStatus(), rid))
	form := regexp.MustCompile(`^\{"errorCode":` + fmt.Sprint(int(code)) + `,"trackingId":"[0-9a-f]{32}-G:\d+-TimeStamp:\d\d/\d\d/\d{4} \d\d:\d\d:\d\d",` +
		`"message":"([^"]+)","timestampUtc":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"\}$`)
	if parts := form.FindStringSubmatch(body); parts != nil {
		return parts[1]
	}
	c.t.Errorf("%s: %s", rid, body)
	return ""
}

func TestTwin_getAndUpdate(t *testing.T) {
	f := newFixture(t)
	for id, p := range f.bothLogins() {
		c := f.connected(p)
		c.subscribe(1, answerFilter)
		c.publish(0, 0, getTopic+"a", " ") // what Python and Node send
		want := `{"desired":{"$version":1},"reported":{"$version":1}}`
		if got := c.answer("200/?$rid=a"); got != want {
			t.Errorf("%s: %s", id, got)
		}
		c.publish(0, 0, reportedTopic+"b", `{"b":{"c":1.50,"d":[1,null]},"a":"x"}`)
		if got := c.answer("400/?$rid=b"); !strings.Contains(got, "null") {
			t.Errorf("%s: %s", id, got)
		}
		c.publish(0, 0, reportedTopic+"b", `{"b":{"c":1.50,"d":[1,2]},"a":"x"}`)
		if got := c.answer("204/?$rid=b&$version=2"); got != "" {
			t.Errorf("%s: %s", id, got)
		}
		c.publish(0, 0, reportedTopic+"c", `{"a":null,"b":{"c":2}}`)
		c.answer("204/?$rid=c&$version=3")
		f.update(id, `{"interval":30}`)
		c.publish(0, 0, getTopic+"d", "") // C, C# and Java send nothing
		want = `{"desired":{"interval":30,"$version":2},"reported":{"b":{"c":2,"d":[1,2]},"$version":3}}`
		if got := c.answer("200/?$rid=d"); got != want {
			t.Errorf("%s: %s", id, got)
		}
		f.wantReported(id, `{"b":{"c":2,"d":[1,2]}}`, 3)
	}
}

// At QoS 1 PUBACK and answer come both, PUBACK first.
func TestTwin_atQoS1(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	c.subscribe(1, answerFilter)
	c.publish(1, 5, getTopic+"a", " ")
	c.expectPuback(5)
	c.answer("200/?$rid=a")
	c.publish(1, 6, reportedTopic+"b", `{"a":1}`)
	c.expectPuback(6)
	c.answer("204/?$rid=b&$version=2")
	c.publish(1, 7, reportedTopic+"c", `{`)
	c.expectPuback(7)
	c.refused("c", hubward.CodeFormatError)
	f.wantReported(d1, `{"a":1}`, 2)
}

// The id of a request is the client's, and comes back as it is. The order in the query is Java's and C#'s own business.
func TestTwin_requestIDs(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	c.subscribe(0, answerFilter)
	for _, rid := range []string{
		"1", "65535", "0b8cdd4c-0a8b-4cc4-a4d1-6d0f2a3d9a35", "", "a b", "%20", "x=y", "a/b", "größe", "+", "#", "?", "$rid=1", strings.Repeat("x", 60_000),
	} {
		c.publish(0, 0, getTopic+rid, "")
		c.answer("200/?$rid=" + rid)
		c.publish(0, 0, reportedTopic+rid, `{}`)
		c.answer("204/?$rid=" + rid + "&$version=1")
	}
	for _, query := range []string{"$rid=a&$rid=b", "?$rid=a&x=1", "?&x&$rid=a", "?$version=1&$rid=a"} {
		c.publish(0, 0, "$iothub/twin/GET/"+query, "")
		c.answer("200/?$rid=a")
		c.publish(0, 0, "$iothub/twin/PATCH/properties/reported/"+query, `{}`)
		c.answer("204/?$rid=a&$version=1")
	}
}

// Without an id there is no answer; what is asked is done all the same.
func TestTwin_withoutRequestID(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	c.subscribe(0, answerFilter)
	version := int64(1)
	for i, rest := range []string{"", "/", "/?", "/?rid=1", "/?%24rid=1", "/x/?$rid=1", "/?x=$rid=1", "/?$rid"} {
		id := uint16(i + 1)
		c.publish(1, id, "$iothub/twin/GET"+rest, "")
		c.expectPuback(id)
		c.publish(1, id, "$iothub/twin/PATCH/properties/reported"+rest, fmt.Sprintf(`{"n":%d}`, i))
		c.expectPuback(id)
		version++
		c.publish(1, id, "$iothub/twin/PATCH/properties/reported"+rest, `[`)
		c.expectPuback(id)
		c.ping()
		f.wantReported(d1, fmt.Sprintf(`{"n":%d}`, i), version)
	}
	// An id that fits the request's topic and not the answer's.
	c.publish(1, 99, getTopic+strings.Repeat("x", 65535-len(getTopic)), "")
	c.expectPuback(99)
	c.ping()
}

func TestTwin_versionOfTheRequest(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	c.subscribe(0, answerFilter)
	version := int64(1)
	patch := func(text string) { c.publish(0, 0, reportedTopic+"r&$version="+text, `{"a":1}`) }
	for range 100 {
		c.publish(0, 0, reportedTopic+"r", `{"a":1}`)
		version++
		c.answer(fmt.Sprintf("204/?$rid=r&$version=%d", version))
		if version == 100 {
			break
		}
	}
	for _, text := range []string{"100", "101.0", "1.02e2", "+103"} {
		patch(text)
		version++
		c.answer(fmt.Sprintf("204/?$rid=r&$version=%d", version))
	}
	for _, text := range []string{"1", "103", "105", "9007199254740992", "1e2"} {
		patch(text)
		c.refused("r", hubward.CodePreconditionFailed)
	}
	for _, text := range []string{"", "x", "null", "104.5", "-1", "0", "0.0", "1e400", "9007199254740994", "NaN", "Infinity", "0x68", "1_04", " 104", "104 "} {
		patch(text)
		if got := c.refused("r", hubward.CodeArgumentInvalid); !strings.Contains(got, "$version") {
			t.Errorf("%q: %s", text, got)
		}
	}
	f.wantReported(d1, `{"a":1}`, 104)
}

// Whatever a patch is, it never closes the connection, and changes all or nothing.
func TestTwin_malformedPatches(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	c.subscribe(0, answerFilter)
	deep := strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33)
	for name, r := range map[string]struct {
		patch string
		code  hubward.Code
	}{
		"nothing":       {"", hubward.CodeFormatError},
		"a blank":       {" ", hubward.CodeFormatError},
		"cut off":       {`{"a":1`, hubward.CodeFormatError},
		"no JSON":       {`{"a":NaN}`, hubward.CodeFormatError},
		"two":           {`{} {}`, hubward.CodeFormatError},
		"no UTF-8":      {"{\"a\":\"\xff\"}", hubward.CodeArgumentInvalid},
		"text":          {`"str"`, hubward.CodeArgumentInvalid},
		"a number":      {`5`, hubward.CodeArgumentInvalid},
		"a list":        {`[1]`, hubward.CodeArgumentInvalid},
		"null":          {`null`, hubward.CodeArgumentInvalid},
		"null in list":  {`{"a":[null]}`, hubward.CodeArgumentInvalid},
		"odd name":      {`{"a.b":1}`, hubward.CodeArgumentInvalid},
		"too deep":      {deep, hubward.CodeArgumentInvalid},
		"long text":     {`{"a":"` + strings.Repeat("x", 4097) + `"}`, hubward.CodeArgumentInvalid},
		"large integer": {`{"a":4503599627370496}`, hubward.CodeArgumentInvalid},
		"too large":     {`{` + manyMembers(40) + `}`, hubward.CodeArgumentInvalid},
		"much too large": {
			`{"a":"` + strings.Repeat("x", hubward.MaxMessageSize-10) + `"}`, hubward.CodeArgumentInvalid,
		},
	} {
		f.run(name, func(t *testing.T) {
			c.t = t
			for qos := range byte(2) {
				c.publish(qos, uint16(qos), reportedTopic+"r", r.patch)
				if qos > 0 {
					c.expectPuback(1)
				}
				if message := c.refused("r", r.code); strings.Contains(message, "ServerError") {
					t.Error(message)
				}
			}
		})
	}
	c.t = t
	f.wantReported(d1, `{}`, 1)
	c.publish(0, 0, reportedTopic+"r", `{`+manyMembers(31)+`}`)
	c.answer("204/?$rid=r&$version=2")
}

// manyMembers are n of about 1 KiB each.
func manyMembers(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf(`"m%02d":"%s"`, i, strings.Repeat("x", 1021))
	}
	return strings.Join(members, ",")
}

func TestTwin_answersOnlyWhoListens(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	requests := []struct{ topic, body, answer string }{
		{getTopic + "1", "", "200/?$rid=1"},
		{reportedTopic + "2", "{}", "204/?$rid=2&$version=1"},
		{reportedTopic + "3", "[", "400/?$rid=3"},
	}
	for _, r := range []struct {
		filter string
		gets   []int
	}{
		{"$iothub/methods/#", nil},
		{"#", nil}, // a wildcard that comes first covers no topic of the hub's [MQTT-4.7.2-1]
		{"$iothub/twin/res", nil},
		{"$iothub/twin/res/+", nil},
		{desiredFilter, nil},
		{answerFilter, []int{0, 1, 2}},
		{"$iothub/#", []int{0, 1, 2}},
		{"$iothub/+/res/+/#", []int{0, 1, 2}},
		{"$iothub/twin/res/+/+", []int{0, 1, 2}},
		{"$iothub/twin/res/200/#", []int{0}},
		{"$iothub/twin/res/204/#", []int{1}},
		{"$iothub/twin/res/400/+", []int{2}},
	} {
		c.subscribe(1, r.filter)
		for i, request := range requests {
			c.publish(1, uint16(i+1), request.topic, request.body)
		}
		for i := range requests {
			c.expectPuback(uint16(i + 1))
			if len(r.gets) > 0 && r.gets[0] == i {
				c.answer(requests[i].answer)
				r.gets = r.gets[1:]
			}
		}
		c.ping()
		c.unsubscribe(r.filter)
	}
}

// Requests that are sent one behind the other are carried out and answered so.
func TestTwin_pipelined(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	c.subscribe(0, answerFilter)
	const n = 300
	go func() {
		for i := range n {
			if i%10 == 9 {
				c.publish(0, 0, getTopic+fmt.Sprint(i), "")
				continue
			}
			c.publish(0, 0, reportedTopic+fmt.Sprint(i), fmt.Sprintf(`{"n":%d}`, i))
		}
	}()
	version := 1
	for i := range n {
		if i%10 == 9 {
			want := fmt.Sprintf(`{"desired":{"$version":1},"reported":{"n":%d,"$version":%d}}`, i-1, version)
			if diff := cmp.Diff(want, c.answer(fmt.Sprintf("200/?$rid=%d", i))); diff != "" {
				t.Fatal(diff)
			}
			continue
		}
		version++
		c.answer(fmt.Sprintf("204/?$rid=%d&$version=%d", i, version))
	}
}

func FuzzReadQuery(f *testing.F) {
	for _, seed := range []string{"?$rid=1&$version=2", "$rid=", "?$rid=a&$rid=b", "?$version=1e2&$rid=x", "&&?$rid", "?$version=-0x1p3", "?$version=1e999999"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := string(text)
		q := mqttfront.ReadQuery(text)
		if string(text) != before {
			t.Error("it changes what it reads")
		}
		if q.Asks && !strings.Contains(before, "$rid="+q.RID) || !q.Asks && q.RID != "" {
			t.Errorf("rid %q of %q", q.RID, before)
		}
		if (q.Err == nil) != (q.Version > 0 || !strings.Contains(before, "$version=")) && q.Version != 0 {
			t.Errorf("version %d of %q: %v", q.Version, before, q.Err)
		}
	})
}

func FuzzReadStatus(f *testing.F) {
	for _, seed := range []string{"200", "", "null", "200.5", "-1", "1e300", "0x1p3", "9223372036854775808", "inf", "1_0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n := mqttfront.ReadStatus(text)
		var number json.Number
		if json.Unmarshal([]byte(text), &number) != nil || strings.HasPrefix(strings.TrimSpace(text), `"`) {
			return
		}
		// What JSON takes for a number is read as one.
		if want, err := number.Int64(); err == nil && want >= -1<<53 && want <= 1<<53 && int64(n) != want && strings.TrimSpace(text) == text && text != "null" {
			t.Errorf("%q is %d", text, n)
		}
	})
}

// update writes desired properties.
func (f *fixture) update(id hubward.Identity, desired string) {
	f.t.Helper()
	if _, err := f.hub.UpdateTwin(f.t.Context(), f.plant, id, hub.TwinUpdate{Desired: []byte(desired)}, ""); err != nil {
		f.t.Fatal(err)
	}
}
