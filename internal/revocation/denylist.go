package revocation

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxSerial bounds a serial number, in bytes. RFC 5280 4.1.2.2 allows 20; some authorities take more.
const maxSerial = 64

// denyList are the issuers of serial numbers, big endian; "" stands for all.
type denyList map[string][]string

// parseDenyList reads a deny list, see the package comment. Errors name the line.
func parseDenyList(text []byte) (denyList, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(text) {
		return nil, errors.New("it is no UTF-8")
	}
	denied := make(denyList)
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		serial, issuer, err := parseDenied(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		denied[serial] = append(denied[serial], issuer)
	}
	return denied, nil
}

func parseDenied(line string) (serial, issuer string, err error) {
	digits, issuer := line, ""
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		digits, issuer = line[:i], strings.TrimSpace(line[i:])
	}
	if len(digits) > len("serial=")+3*maxSerial {
		return "", "", fmt.Errorf("a serial number has up to %d bytes", maxSerial)
	}
	digits = strings.TrimPrefix(strings.ToLower(digits), "serial=")
	digits = strings.ReplaceAll(strings.TrimPrefix(digits, "0x"), ":", "")
	if len(digits)%2 != 0 {
		digits = "0" + digits
	}
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) == 0 {
		return "", "", fmt.Errorf("%.80q is no serial number in hexadecimal digits", line)
	}
	if len(raw) > maxSerial {
		return "", "", fmt.Errorf("a serial number has up to %d bytes", maxSerial)
	}
	if issuer != "" && !strings.Contains(issuer, "=") {
		return "", "", fmt.Errorf("%.80q is no name of an issuer, such as CN=Plant CA,O=Contoso", issuer)
	}
	return string(bytes.TrimLeft(raw, "\x00")), issuer, nil
}
