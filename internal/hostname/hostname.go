// Package hostname has the one rule for the host names that an operator gives a hub. It is pure: nothing is looked up.
//
// A host name is a DNS name or an IP address. A DNS name has labels of 1 to 63 letters, digits and inner hyphens, and 253
// characters at most (RFC 1123 2.1, RFC 1035 2.3.4). Underscores may stand in it too, because container networks make
// such names. International names are given as A-labels (RFC 5890 2.3.2.1): that is how they stand in certificates, SNI and
// connection strings. The last label is not a number, or programs would take the name for an address.
//
// What a peer says is not checked but looked up, in the form that sas.CanonicalHost gives: a name that breaks the rule
// is no hub's.
package hostname

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/hubward/hubward/sas"
)

const (
	maxName  = 253 // RFC 1035 2.3.4, as text without the last dot
	maxLabel = 63

	// maxInternational bounds, in bytes, what is turned into A-labels: that takes time with the square of the length.
	maxInternational = 4 * maxName
)

// Parse returns the canonical form of a host name: lower case, without the dot that may end it, an IP address as
// RFC 5952 writes it. It takes neither scheme, port, brackets nor wildcard.
//
// The error says what is wrong, without quoting the name; that of an international name tells its A-labels.
func Parse(name string) (string, error) {
	if address, err := netip.ParseAddr(name); err == nil {
		if address.Zone() != "" {
			return "", errors.New("an IP address with a zone means something else on each machine")
		}
		return sas.CanonicalHost(name), nil
	}
	if !isASCII(name) {
		return "", international(name)
	}
	canonical := strings.ToLower(strings.TrimSuffix(name, "."))
	if len(canonical) > maxName {
		return "", fmt.Errorf("it has %d characters, a host name has %d at most", len(canonical), maxName)
	}
	return canonical, checkLabels(canonical)
}

var errNoHostName = errors.New("not a host name or IP address (no scheme, port, brackets or wildcard)")

func checkLabels(name string) error {
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if len(label) > maxLabel {
			return fmt.Errorf("a label of it has %d characters, %d are allowed between two dots", len(label), maxLabel)
		}
		if !validLabel(label) {
			return errNoHostName
		}
		if strings.HasPrefix(label, "xn--") {
			if _, err := idna.Lookup.ToUnicode(label); err != nil {
				return fmt.Errorf("%s is not the A-label of anything", label)
			}
		}
		last = label
	}
	if strings.Trim(last, "0123456789") == "" {
		return errors.New("it ends in a number, but is not an IP address")
	}
	return nil
}

func validLabel(label string) bool {
	if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := label[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// international says how a name with other letters than those of ASCII is given.
func international(name string) error {
	if len(name) > maxInternational {
		return fmt.Errorf("it has %d bytes, a host name has %d characters at most", len(name), maxName)
	}
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(name, "."))
	if err != nil || !utf8.ValidString(name) {
		return errNoHostName
	}
	if ascii, err = Parse(ascii); err != nil {
		return err
	}
	return fmt.Errorf("an international name is given as its A-labels: %s", ascii)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// IsAddress reports whether name is an IP address.
func IsAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}
