package sqlstore

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

// authorityColumn is the JSON of a hub.Authority.
type authorityColumn struct {
	Name             string    `json:"name"`
	Certificate      []byte    `json:"certificate"`
	Verified         bool      `json:"verified,omitempty"`
	Disabled         bool      `json:"disabled,omitempty"`
	VerificationCode string    `json:"verificationCode,omitempty"`
	Created          time.Time `json:"created"`
	Updated          time.Time `json:"updated"`
	ETag             string    `json:"etag"`
}

func authoritiesText(list []hub.Authority) (string, error) {
	columns := make([]authorityColumn, len(list))
	for i, a := range list {
		columns[i] = authorityColumn{
			Name: a.Name, Certificate: a.Certificate, Verified: a.Verified, Disabled: a.Disabled, VerificationCode: a.VerificationCode,
			Created: a.Created, Updated: a.Updated, ETag: a.ETag,
		}
	}
	text, err := json.Marshal(columns)
	return string(text), err
}

func authoritiesOf(text string) ([]hub.Authority, error) {
	var columns []authorityColumn
	if err := json.Unmarshal([]byte(text), &columns); err != nil {
		return nil, err
	}
	var list []hub.Authority
	for _, c := range columns {
		list = append(list, hub.Authority{
			Name: c.Name, Certificate: c.Certificate, Verified: c.Verified, Disabled: c.Disabled, VerificationCode: c.VerificationCode,
			Created: c.Created, Updated: c.Updated, ETag: c.ETag,
		})
	}
	return list, nil
}

// switchesColumn is the JSON of access.Switches.
type switchesColumn struct {
	DisableLocalAuth bool     `json:"disableLocalAuth,omitempty"`
	DisableDeviceSAS bool     `json:"disableDeviceSas,omitempty"`
	DisableModuleSAS bool     `json:"disableModuleSas,omitempty"`
	MinTLS           uint16   `json:"minTls,omitempty"`
	Allow            []string `json:"allow,omitempty"` // CIDR
	Events           bool     `json:"events,omitempty"`
}

// issuingColumn is the JSON of hub.Issuing.
type issuingColumn struct {
	Enabled   bool     `json:"enabled,omitempty"`
	Validity  int64    `json:"validity,omitempty"` // nanoseconds
	Keys      []string `json:"keys,omitempty"`
	Issuer    []byte   `json:"issuer,omitempty"`
	Root      []byte   `json:"root,omitempty"`
	IssuerKey []byte   `json:"issuerKey,omitempty"`
	RootKey   []byte   `json:"rootKey,omitempty"`
	Former    [][]byte `json:"former,omitempty"`
}

// admissionTexts are the columns switches, authorities and issuing.
func admissionTexts(c *hub.Config) (texts [3]string, err error) {
	w := switchesColumn{
		DisableLocalAuth: c.Switches.DisableLocalAuth, DisableDeviceSAS: c.Switches.DisableDeviceSAS,
		DisableModuleSAS: c.Switches.DisableModuleSAS, MinTLS: c.Switches.MinTLS, Events: c.Switches.Network.Events,
	}
	for _, p := range c.Switches.Network.Allow {
		w.Allow = append(w.Allow, p.String())
	}
	switches, err := json.Marshal(w)
	if err != nil {
		return texts, err
	}
	authorities, err := authoritiesText(c.Authorities)
	if err != nil {
		return texts, err
	}
	i := &c.Issuing
	issuing, err := json.Marshal(issuingColumn{
		Enabled: i.Enabled, Validity: int64(i.Validity), Keys: i.Keys, Issuer: i.Issuer, Root: i.Root, IssuerKey: i.IssuerKey, RootKey: i.RootKey,
		Former: i.Former,
	})
	return [3]string{string(switches), authorities, string(issuing)}, err
}

// readAdmission reads what admissionTexts writes.
func readAdmission(c *hub.Config, switches, authorities, issuing string) (err error) {
	var w switchesColumn
	if err := json.Unmarshal([]byte(switches), &w); err != nil {
		return err
	}
	c.Switches = access.Switches{
		DisableLocalAuth: w.DisableLocalAuth, DisableDeviceSAS: w.DisableDeviceSAS, DisableModuleSAS: w.DisableModuleSAS, MinTLS: w.MinTLS,
		Network: access.NetworkRules{Events: w.Events},
	}
	for _, text := range w.Allow {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return err
		}
		c.Switches.Network.Allow = append(c.Switches.Network.Allow, p)
	}
	if c.Authorities, err = authoritiesOf(authorities); err != nil {
		return err
	}
	var i issuingColumn
	err = json.Unmarshal([]byte(issuing), &i)
	c.Issuing = hub.Issuing{
		Enabled: i.Enabled, Validity: time.Duration(i.Validity), Keys: i.Keys, Issuer: i.Issuer, Root: i.Root, IssuerKey: i.IssuerKey, RootKey: i.RootKey,
		Former: i.Former,
	}
	return err
}
