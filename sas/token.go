package sas

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Scheme is the first word of every token.
const Scheme = "SharedAccessSignature"

// MaxTokenLength bounds a token, in bytes, before anything of it is looked at. Real ones are below 600; an MQTT
// password field could hold 65,535.
const MaxTokenLength = 4096

// ErrToken is the error of a token that cannot be read. Its text never quotes the token.
var ErrToken = errors.New("malformed shared access signature")

// Token is a token taken apart. Parse makes it; nothing in it is verified yet.
type Token struct {
	Policy  string    // skn, percent-decoded; empty for a device key
	Expiry  time.Time // se
	Segment []string  // the resource, decoded: host first, as CanonicalHost writes it, then e.g. "devices", "d1"

	signed    string // sr + "\n" + se as written
	signature []byte // sig, decoded
}

// Parse takes a token apart. It accepts fields in any order and ignores unknown ones; a repeated field, a missing sr,
// sig or se, a signature that is not base64, or an expiry that is no number is an error that wraps ErrToken.
func Parse(text string) (Token, error) {
	if len(text) > MaxTokenLength {
		return Token{}, fmt.Errorf("%w: longer than %d bytes", ErrToken, MaxTokenLength)
	}
	rest, ok := strings.CutPrefix(text, Scheme+" ")
	if !ok {
		return Token{}, fmt.Errorf("%w: it does not begin with %q", ErrToken, Scheme)
	}
	fields, err := parseFields(rest)
	if err != nil {
		return Token{}, err
	}
	return fields.token()
}

// tokenFields are the four known fields as written. A nil pointer is an absent field.
type tokenFields struct{ sr, sig, se, skn *string }

func parseFields(rest string) (tokenFields, error) {
	var f tokenFields
	for part := range strings.SplitSeq(strings.TrimSpace(rest), "&") {
		name, value, _ := strings.Cut(part, "=")
		slot := f.slot(name)
		if slot == nil {
			continue
		}
		if *slot != nil {
			return f, fmt.Errorf("%w: field %s is repeated", ErrToken, name)
		}
		*slot = &value
	}
	if f.sr == nil || f.sig == nil || f.se == nil {
		return f, fmt.Errorf("%w: it needs sr, sig and se", ErrToken)
	}
	return f, nil
}

func (f *tokenFields) slot(name string) **string {
	switch name {
	case "sr":
		return &f.sr
	case "sig":
		return &f.sig
	case "se":
		return &f.se
	case "skn":
		return &f.skn
	}
	return nil
}

func (f *tokenFields) token() (Token, error) {
	seconds, err := strconv.ParseInt(*f.se, 10, 64)
	if err != nil || seconds < 0 || seconds > maxExpiry {
		return Token{}, fmt.Errorf("%w: se is not a time in Unix seconds", ErrToken)
	}
	sig, err := url.PathUnescape(*f.sig) // PathUnescape keeps '+', which base64 needs
	if err != nil {
		return Token{}, fmt.Errorf("%w: sig is not percent-encoded", ErrToken)
	}
	signature, err := base64.StdEncoding.DecodeString(sig)
	if err != nil {
		return Token{}, fmt.Errorf("%w: sig is not base64", ErrToken)
	}
	segments, err := splitResource(*f.sr)
	if err != nil {
		return Token{}, err
	}
	t := Token{Expiry: time.Unix(seconds, 0).UTC(), Segment: segments, signed: *f.sr + "\n" + *f.se, signature: signature}
	if f.skn != nil {
		if t.Policy, err = url.PathUnescape(*f.skn); err != nil {
			return Token{}, fmt.Errorf("%w: skn is not percent-encoded", ErrToken)
		}
	}
	return t, nil
}

// maxExpiry is the last second of the year 9999; later ones do not fit the texts that dates are written in.
const maxExpiry = 253402300799

// splitResource decodes sr once and cuts it into segments. A scheme and a port are dropped: Event Hubs clients write
// sb:// or amqps://, and Node writes the port that HostName has.
//
// Observed with @azure/event-hubs 6.0.4, azeventhubs 2.0.2 and azure-iot-device 1.18.4.
func splitResource(sr string) ([]string, error) {
	decoded, err := url.PathUnescape(sr)
	if err != nil {
		return nil, fmt.Errorf("%w: sr is not percent-encoded", ErrToken)
	}
	if scheme, after, ok := strings.Cut(decoded, "://"); ok && !strings.Contains(scheme, "/") {
		decoded = after
	}
	segments := strings.Split(strings.TrimRight(decoded, "/"), "/")
	segments[0] = CanonicalHost(segments[0])
	return segments, nil
}

// Host returns the host that the token is for, as CanonicalHost writes it.
func (t *Token) Host() string { return t.Segment[0] }

// Covers reports whether the token's scope, below its host, is a segment-wise prefix of path: a token for
// devices/d1 covers devices/d1 and devices/d1/modules/m1, not devices/d10. Device and module ids are compared with
// case, all else without it: some Event Hubs clients lower the whole resource. .NET encodes ids twice, so an id also
// matches when decoding it once more gives it. A query-like last segment, which old tools append, is ignored.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-sas; Azure/azure-iot-sdk-csharp
// iothub/device/src/Authentication/DeviceAuthenticationWithSakRefresh.cs. Lower case: observed with azeventhubs 2.0.2.
func (t *Token) Covers(path ...string) bool {
	scope := t.scope()
	if len(scope) > len(path) {
		return false
	}
	for i, s := range scope {
		if isID := i > 0 && namesIDs(path[i-1]); isID && !matchesID(s, path[i]) || !isID && !strings.EqualFold(s, path[i]) {
			return false
		}
	}
	return true
}

// scope returns the segments below the host, without a query such as "?api-version=2016-11-14" at the end. Where an
// id is expected such text is an id: ids may look like that, and dropping one would widen the scope to all devices.
func (t *Token) scope() []string {
	scope := t.Segment[1:]
	n := len(scope)
	if n == 0 || n > 1 && namesIDs(scope[n-2]) {
		return scope
	}
	if strings.HasPrefix(strings.TrimPrefix(scope[n-1], "?"), "api-version=") {
		return scope[:n-1]
	}
	return scope
}

// namesIDs reports whether the segment behind keyword is a device or module id.
func namesIDs(keyword string) bool {
	return strings.EqualFold(keyword, "devices") || strings.EqualFold(keyword, "modules")
}

func matchesID(segment, id string) bool { return segment == id || decodeAgain(segment) == id }

// DecodedTwice returns Segment[i] decoded a second time, which is what .NET means, or as it is when it cannot be.
func (t *Token) DecodedTwice(i int) string { return decodeAgain(t.Segment[i]) }

func decodeAgain(segment string) string {
	if again, err := url.PathUnescape(segment); err == nil {
		return again
	}
	return segment
}

// VerifyKey reports whether the token was signed with key, which is base64 text. The comparison takes the same time
// wherever the signatures differ. An empty or undecodable key verifies nothing.
func (t *Token) VerifyKey(key string) bool {
	raw, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(raw) > 0 && t.verify(raw)
}

// VerifyKeyText reports whether the token was signed with the UTF-8 text of key itself, as Event Hubs clients do.
//
// Source: Azure/azure-sdk-for-python sdk/eventhub/azure-eventhub/azure/eventhub/_pyamqp/utils.py.
func (t *Token) VerifyKeyText(key string) bool {
	return key != "" && t.verify([]byte(key))
}

func (t *Token) verify(key []byte) bool {
	return subtle.ConstantTimeCompare(t.signature, mac(key, t.signed)) == 1
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// Sign makes a token for resource, such as "hub.example/devices/d1", good until expiry. key is base64 text; policy is
// empty for a device key. It fails only when key is not base64.
func Sign(resource, key, policy string, expiry time.Time) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(raw) == 0 {
		return "", errors.New("the shared access key is not base64")
	}
	sr := escape(resource)
	se := strconv.FormatInt(expiry.Unix(), 10)
	sig := base64.StdEncoding.EncodeToString(mac(raw, sr+"\n"+se))
	token := Scheme + " sr=" + sr + "&sig=" + escape(sig) + "&se=" + se
	if policy != "" {
		token += "&skn=" + escape(policy)
	}
	return token, nil
}

// escape percent-encodes all but unreserved characters. A space becomes %20: in a token '+' is a plus.
func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// TrimPort returns host without a trailing ":port" and without the brackets of an IPv6 address.
func TrimPort(host string) string {
	if rest, ok := strings.CutPrefix(host, "["); ok {
		inside, _, _ := strings.Cut(rest, "]")
		return inside
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host, ':') == i {
		return host[:i]
	}
	return host
}

// CanonicalHost returns host in the one form in which host names are compared: without port, brackets and the dot that
// ends an absolute name (RFC 1034 3.1), in lower case, an IP address as RFC 5952 writes it. It checks nothing.
func CanonicalHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(TrimPort(host), "."))
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().String()
	}
	return host
}
