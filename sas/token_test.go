package sas_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hubward/hubward/sas"
)

// goldenKey and goldenExpiry are those of the golden vectors. azure-iot-common for Node has made those of the device and
// of the bare host, @azure/core-amqp that of $management; the others follow the resources that clients were seen to write.
const goldenKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

var goldenExpiry = time.Unix(1900000000, 0)

func TestVerify_goldenVectors(t *testing.T) {
	rows := []struct {
		sr, sig string
		text    bool // signed with the key's text, as Event Hubs clients do
	}{
		{"localhost%2Fdevices%2Fd1", "BfEakTtrTCJps48fmCkb5p4rDB9Mk92Gw3S7lFnWhYA=", false},
		{"localhost%2Fdevices%2Fd1%2Fmodules%2Fm1", "P/Y3AttJe8YEs0CGAbWJ8dcUOZaxa2i655H3pZcsbEw=", false},
		{"localhost%3A18883%2Fdevices%2Fd1", "4zOYQ/OCjy7ni7KOg63J9tCdiEqeaufTZgVMzoe4ts0=", false},
		{"localhost", "e6iLfZzUWxvhzSHTYlcH03zdObjI7MbEkKAayoSWXCA=", false},
		{"localhost:443", "SqhwAH+XoDj5+5bNRUtVdZhrZEl3+/Y7MLrIxNHb1v8=", false},
		{"localhost%2Fmessages%2Fevents", "KB5WtvP9snSKCYP91KNSPQgcb+MAL08WI2EiHy84HZI=", false},
		{"sb%3A%2F%2Flocalhost%2Fehub%2F%24management", "qyex+veDgWT6qADlSIcT9nEpsebyfRI5KoD6tplhHJY=", true},
		{"sb%3A%2F%2Flocalhost%2Fehub%2FConsumerGroups%2F%24Default%2FPartitions%2F0",
			"comSrWcr2v0lSnaDF+mZyxXpQ2j3Kjjj1wEmwowl9Xg=", true},
		{"sb%3A%2F%2Flocalhost%2Fehub", "UFPxlk0BcHhVA2mgGiRGqGu2xYWbtrOPePN+JRdhAx4=", true},
		{"amqps%3a%2f%2flocalhost%2fehub%2fconsumergroups%2f%24default%2fpartitions%2f0",
			"GWYD8LtLp7avJSgqy2/ySWzTnq8d2thAuuyn5/PO+f4=", true},
		{"localhost/devices/d1", "nfRKQopWoYgP6JR7qhMLtBFw36bPr3AZSOmC1u5K2mk=", false}, // azure-iot-common leaves sr as it is
	}
	escaped := strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D")
	lower := strings.NewReplacer("+", "%2b", "/", "%2f", "=", "%3d")
	for _, row := range rows {
		for _, sig := range []string{row.sig, escaped.Replace(row.sig), lower.Replace(row.sig)} {
			token, err := sas.Parse("SharedAccessSignature sr=" + row.sr + "&sig=" + sig + "&se=1900000000")
			if err != nil {
				t.Errorf("%s: %v", row.sr, err)
				continue
			}
			if token.Host() != "localhost" || !token.Expiry.Equal(goldenExpiry) {
				t.Errorf("%s: host %q, expiry %v", row.sr, token.Host(), token.Expiry)
			}
			if got := token.VerifyKey(goldenKey); got == row.text {
				t.Errorf("%s: VerifyKey is %v", row.sr, got)
			}
			if got := token.VerifyKeyText(goldenKey); got != row.text {
				t.Errorf("%s: VerifyKeyText is %v", row.sr, got)
			}
		}
	}
}

// The vector is that of amenzhinsky/iothub common/sas_test.go.
func TestVerify_documentedVector(t *testing.T) {
	token, err := sas.Parse("SharedAccessSignature sr=test.azure-devices.net&sig=uux4PSAK1s9efNcBHin0pm7O5oENedTWkhqGp8JAyFY%3D&se=1546308061&skn=owner")
	if err != nil || !token.VerifyKey("c2VjcmV0") || token.Policy != "owner" {
		t.Errorf("policy %q, error %v", token.Policy, err)
	}
}

func TestVerify_refusesOtherKeysAndTexts(t *testing.T) {
	signed, err := sas.Sign("hub/devices/d1", goldenKey, "", goldenExpiry)
	if err != nil {
		t.Fatal(err)
	}
	token, err := sas.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", "AAAA", "not base64!", goldenKey[4:]} {
		if token.VerifyKey(key) || token.VerifyKeyText(key) {
			t.Errorf("key %q verifies", key)
		}
	}
	for _, change := range [][2]string{{"d1", "d2"}, {"d1", "d%31"}, {"1900000000", "1900000001"}, {"1900000000", "01900000000"}} {
		altered, err := sas.Parse(strings.Replace(signed, change[0], change[1], 1))
		if err != nil || altered.VerifyKey(goldenKey) {
			t.Errorf("%s for %s: verifies, or error %v", change[1], change[0], err)
		}
	}
}

func TestVerify_emptyKeySignsNothing(t *testing.T) {
	if _, err := sas.Sign("hub", "", "", goldenExpiry); err == nil {
		t.Error("Sign takes an empty key")
	}
	// A signature made with an empty HMAC key: whoever has no key must not be impersonated by it.
	token, err := sas.Parse("SharedAccessSignature sr=hub&se=1900000000&sig=" + base64.StdEncoding.EncodeToString(make([]byte, 32)))
	if err != nil || token.VerifyKey("") || token.VerifyKeyText("") {
		t.Errorf("an empty key verifies, or error %v", err)
	}
}

func TestSign_golden(t *testing.T) {
	rows := []struct{ resource, policy, want string }{
		{"localhost/devices/d1", "", "SharedAccessSignature sr=localhost%2Fdevices%2Fd1&sig=BfEakTtrTCJps48fmCkb5p4rDB9Mk92Gw3S7lFnWhYA%3D&se=1900000000"},
		{"localhost", "iothubowner", "SharedAccessSignature sr=localhost&sig=e6iLfZzUWxvhzSHTYlcH03zdObjI7MbEkKAayoSWXCA%3D&se=1900000000&skn=iothubowner"},
	}
	for _, row := range rows {
		if got, err := sas.Sign(row.resource, goldenKey, row.policy, goldenExpiry); err != nil || got != row.want {
			t.Errorf("%s: %v\n got %s\nwant %s", row.resource, err, got, row.want)
		}
	}
}

func TestSign_refusesAKeyThatIsNoBase64(t *testing.T) {
	if _, err := sas.Sign("hub", "top secret!", "", goldenExpiry); err == nil || strings.Contains(err.Error(), "secret!") {
		t.Errorf("error %v; want one that does not quote the key", err)
	}
}

func TestSign_everyLegalIDAndPolicyComesBack(t *testing.T) {
	const id = "aZ09-:.+%_#*?!(),=@;$'%41"
	signed, err := sas.Sign("hub.example/devices/"+id, goldenKey, "my policy+1", goldenExpiry)
	if err != nil {
		t.Fatal(err)
	}
	token, err := sas.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	if token.Policy != "my policy+1" {
		t.Errorf("policy %q", token.Policy)
	}
	if diff := cmp.Diff([]string{"hub.example", "devices", id}, token.Segment); diff != "" {
		t.Errorf("resource (-want +got):\n%s", diff)
	}
	if !token.Covers("devices", id) || !token.VerifyKey(goldenKey) {
		t.Error("the token does not cover or verify what it was signed for")
	}
}

func TestParse_fieldsInAnyOrder(t *testing.T) {
	rows := []string{
		"SharedAccessSignature sig=AAAA&se=1900000000&sr=hub%2fdevices%2fd1", // Java
		"SharedAccessSignature sr=hub/devices/d1&sig=AAAA&skn=&se=1900000000",
		"SharedAccessSignature sr=hub/devices/d1/&sig=AAAA&se=1900000000&later=1",
	}
	for _, text := range rows {
		token, err := sas.Parse(text)
		if err != nil || token.Policy != "" || token.Host() != "hub" || !token.Covers("devices", "d1") {
			t.Errorf("%s: %+v, %v", text, token.Segment, err)
		}
	}
}

func TestParse_malformed(t *testing.T) {
	rows := []struct{ name, text, want string }{
		{"empty", "", "does not begin with"},
		{"other scheme", "Bearer abc", "does not begin with"},
		{"scheme only", "SharedAccessSignature ", "needs sr, sig and se"},
		{"no sr", "SharedAccessSignature sig=AAAA&se=1", "needs sr, sig and se"},
		{"no sig", "SharedAccessSignature sr=hub&se=1", "needs sr, sig and se"},
		{"no se", "SharedAccessSignature sr=hub&sig=AAAA", "needs sr, sig and se"},
		{"repeated", "SharedAccessSignature sr=hub&sig=AAAA&se=1&se=2", "field se is repeated"},
		{"repeated skn", "SharedAccessSignature sr=hub&sig=AAAA&se=1&skn=a&skn=", "field skn is repeated"},
		{"se empty", "SharedAccessSignature sr=hub&sig=AAAA&se=", "se is not"},
		{"se text", "SharedAccessSignature sr=hub&sig=AAAA&se=soon", "se is not"},
		{"se negative", "SharedAccessSignature sr=hub&sig=AAAA&se=-1", "se is not"},
		{"se in milliseconds", "SharedAccessSignature sr=hub&sig=AAAA&se=1900000000000", "se is not"},
		{"se beyond 64 bits", "SharedAccessSignature sr=hub&sig=AAAA&se=99999999999999999999", "se is not"},
		{"sig escape", "SharedAccessSignature sr=hub&sig=AA%2&se=1", "sig is not percent-encoded"},
		{"sig base64", "SharedAccessSignature sr=hub&sig=AAA&se=1", "sig is not base64"},
		{"sr escape", "SharedAccessSignature sr=hub%zz&sig=AAAA&se=1", "sr is not percent-encoded"},
		{"skn escape", "SharedAccessSignature sr=hub&sig=AAAA&se=1&skn=%", "skn is not percent-encoded"},
		{"too long", "SharedAccessSignature sr=hub&sig=AAAA&se=1&x=" + strings.Repeat("a", sas.MaxTokenLength), "longer than"},
	}
	for _, row := range rows {
		if _, err := sas.Parse(row.text); !errors.Is(err, sas.ErrToken) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error %v; want one that says %q", row.name, err, row.want)
		}
	}
}

func TestDecodedTwice(t *testing.T) {
	for sr, want := range map[string]string{
		"hub/devices/d1": "d1", "hub/devices/a%2Bb": "a+b", "hub%2Fdevices%2Fa%252Bb": "a+b", "hub/devices/100%25": "100%", "hub/devices/a%252Fb": "a/b",
	} {
		token, err := sas.Parse("SharedAccessSignature sig=AAAA&se=1900000000&sr=" + sr)
		if err != nil || token.DecodedTwice(2) != want {
			t.Errorf("%s: %q, %v", sr, token.DecodedTwice(2), err)
		}
	}
}

func TestCovers(t *testing.T) {
	rows := []struct {
		sr, path string
		want     bool
	}{
		{"hub", "devices/d1", true},
		{"hub/", "devices/d1", true},
		{"hub/devices", "devices/d1", true},
		{"hub/devices/d1", "devices/d1", true},
		{"hub/devices/d1/", "devices/d1", true},
		{"hub/devices/d1", "devices/d1/modules/m1", true},
		{"hub/devices/d1/modules/m1", "devices/d1", false},
		{"hub/devices/d1", "devices/d10", false},
		{"hub/devices/d10", "devices/d1", false},
		{"hub/devices/D1", "devices/d1", false},
		{"hub/devices/d1/modules/M1", "devices/d1/modules/m1", false},
		{"hub/DEVICES/d1", "devices/d1", true},
		{"hub%2fdevices%2fd1", "devices/d1", true},
		{"hub%2Fdevices%2Fa%252Bb", "devices/a+b", true}, // .NET encodes the id, then the whole
		{"hub/devices/d1%2Fmodules%2Fm1", "devices/d1", false},
		{"hub//devices/d1", "devices/d1", false},
		{"hub/devices/d1/api-version=2016-11-14", "devices/d1", true},
		{"hub/devices/d1/?api-version=2016-11-14", "devices/d1", true},
		{"hub/devices/api-version=1", "devices/d1", false}, // that is an id: it must not cover its neighbours
		{"hub/devices/x-api-version=1", "devices/d1", false},
		{"hub/devices/api-version=1", "devices/api-version=1", true},
		{"hub/messages/events", "devices/d1", false},
		{"hub/Messages/Events", "messages/events/$management", true},
		{"https://hub/devices/d1", "devices/d1", true},
		{"hub:443/devices/d1", "devices/d1", true},
		{"other/x://hub/devices/d1", "devices/d1", false}, // the scheme stands in front of the host or nowhere
		{"amqps://hub/ehub/consumergroups/$default/partitions/0", "EHub/ConsumerGroups/$Default/Partitions/0", true},
		{"sb://hub/ehub", "ehub/ConsumerGroups/$Default/Partitions/0", true},
		{"sb://hub/ehub2", "ehub/ConsumerGroups/$Default/Partitions/0", false},
	}
	for _, row := range rows {
		token, err := sas.Parse("SharedAccessSignature sig=AAAA&se=1900000000&sr=" + row.sr)
		if err != nil {
			t.Errorf("%s: %v", row.sr, err)
			continue
		}
		if got := token.Covers(strings.Split(row.path, "/")...); got != row.want {
			t.Errorf("%s covers %s: %v", row.sr, row.path, got)
		}
	}
}

func TestTrimPort(t *testing.T) {
	for host, want := range map[string]string{
		"hub": "hub", "hub:443": "hub", "hub.example:8883": "hub.example", "127.0.0.1:1": "127.0.0.1",
		"[::1]:443": "::1", "[::1]": "::1", "::1": "::1", "": "", ":443": "",
	} {
		if got := sas.TrimPort(host); got != want {
			t.Errorf("TrimPort(%q) = %q, want %q", host, got, want)
		}
	}
}

func TestCanonicalHost(t *testing.T) {
	for host, want := range map[string]string{
		"hub": "hub", "Hub.Example.": "hub.example", "hub.example.:8883": "hub.example", "hub.example..": "hub.example.",
		"[FD00:0::7]:443": "fd00::7", "::ffff:10.1.2.3": "10.1.2.3", "10.1.2.3:443": "10.1.2.3", ".": "", "": "",
	} {
		if got := sas.CanonicalHost(host); got != want {
			t.Errorf("CanonicalHost(%q) = %q, want %q", host, got, want)
		}
	}
}

func TestParse_hostIsCanonical(t *testing.T) {
	for sr, want := range map[string]string{
		"Hub.Example.%2Fdevices%2Fd1": "hub.example", "sb%3A%2F%2FHUB.example.%3A5671%2Fehub": "hub.example", "[::1]:443": "::1",
	} {
		token, err := sas.Parse("SharedAccessSignature sig=AAAA&se=1900000000&sr=" + sr)
		if err != nil || token.Host() != want {
			t.Errorf("%s: host %q, %v; want %q", sr, token.Host(), err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("SharedAccessSignature sr=localhost%2Fdevices%2Fd1&sig=BfEakTtrTCJps48fmCkb5p4rDB9Mk92Gw3S7lFnWhYA%3D&se=1900000000")
	f.Add("SharedAccessSignature sr=amqps%3a%2f%2f[::1]%3a5671%2fehub&sig=AA+/&se=0&skn=a%20b")
	f.Add("SharedAccessSignature sr=&sig=&se=1")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := sas.Parse(text)
		if err != nil {
			if !errors.Is(err, sas.ErrToken) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if token.Expiry.Year() > 9999 || len(token.Segment) == 0 {
			t.Fatalf("expiry %v, %d segments", token.Expiry, len(token.Segment))
		}
		if !token.Covers(append([]string(nil), token.Segment[1:]...)...) {
			t.Fatalf("%q does not cover its own resource", token.Segment)
		}
		if token.VerifyKey(goldenKey) && token.VerifyKeyText(goldenKey) {
			t.Fatal("one signature verifies with two keys")
		}
	})
}

func FuzzSign(f *testing.F) {
	f.Add("localhost/devices/d1", "", int64(1900000000))
	f.Add("hub+ %2F&=", "a b&sig=", int64(0))
	f.Fuzz(func(t *testing.T, resource, policy string, expiry int64) {
		signed, err := sas.Sign(resource, goldenKey, policy, time.Unix(expiry, 0))
		if err != nil {
			t.Fatal(err)
		}
		token, err := sas.Parse(signed)
		if err != nil {
			if expiry >= 0 && expiry < 253402300800 && len(signed) <= sas.MaxTokenLength {
				t.Fatalf("signed but not readable: %v", err)
			}
			return
		}
		if !token.VerifyKey(goldenKey) || token.Policy != policy || token.Expiry.Unix() != expiry {
			t.Fatalf("policy %q, expiry %v", token.Policy, token.Expiry)
		}
	})
}
