package hub

import (
	"crypto/sha256"
	"sync"

	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// maxKnownTokens bounds the tokens that are remembered; one takes about a kilobyte.
const maxKnownTokens = 1024

// knownTokens are tokens of policies whose signatures were found good: back ends show the same one with every request. The zero
// value knows none.
//
// They are found by their hashes, so the time that it takes to find one tells nothing of its text.
type knownTokens struct {
	mu    sync.RWMutex // guards the field below; a leaf
	known map[[sha256.Size]byte]knownToken
}

// knownToken holds nothing that is changed. It is good as long as the hub's policies are those of config, and the token has not
// expired.
type knownToken struct {
	token     *sas.Token // nil: not known
	config    *Config
	principal access.Principal
}

// tokenKey is the hash of a token, or of what is too long for one.
func tokenKey(text string) [sha256.Size]byte {
	return sha256.Sum256([]byte(text[:min(len(text), sas.MaxTokenLength+1)]))
}

func (k *knownTokens) find(key [sha256.Size]byte) knownToken {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.known[key]
}

// add remembers a token. When there are too many it forgets all of them, which costs each one look at its signature.
func (k *knownTokens) add(key [sha256.Size]byte, t knownToken) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil || len(k.known) >= maxKnownTokens {
		k.known = make(map[[sha256.Size]byte]knownToken)
	}
	k.known[key] = t
}
