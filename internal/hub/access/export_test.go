package access

import "crypto/x509"

const MaxRemembered = maxRemembered

// Remembered counts the chains that are remembered.
func Remembered(a Authorities) int { return len(a.set.remembered) }

// RememberMany has more than the bound remembered, and counts them.
func RememberMany(a Authorities, chain []*x509.Certificate) int {
	p := newPath(chain, &Authority{Certificate: chain[len(chain)-1]})
	for i := range maxRemembered + 10 {
		a.set.remember(chainHash{0: byte(i), 1: byte(i >> 8), 2: byte(i >> 16), 3: 1}, chain, p)
	}
	return len(a.set.remembered)
}
