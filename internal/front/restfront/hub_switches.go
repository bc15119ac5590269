package restfront

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

// switchesInfo are a hub's switches, as the cloud's resource manager names them. In a body, what is absent stays as it is.
//
// Source: learn.microsoft.com/azure/templates/microsoft.devices/iothubs.
type switchesInfo struct {
	DisableLocalAuth *bool            `json:"disableLocalAuth,omitempty"`
	DisableDeviceSAS *bool            `json:"disableDeviceSAS,omitempty"`
	DisableModuleSAS *bool            `json:"disableModuleSAS,omitempty"`
	MinTLSVersion    *string          `json:"minTlsVersion,omitempty"` // "1.2", "1.3"; "": none
	NetworkRuleSets  *networkRuleSets `json:"networkRuleSets,omitempty"`
}

// networkRuleSets are all rules together: those that are sent replace those that are there.
type networkRuleSets struct {
	DefaultAction string   `json:"defaultAction"` // Deny, or Allow where there are no rules; "": what the rules want
	ApplyToEvents bool     `json:"applyToBuiltInEventHubEndpoint"`
	IPRules       []ipRule `json:"ipRules"`
}

type ipRule struct {
	FilterName string `json:"filterName"` // not kept
	Action     string `json:"action"`     // Allow
	IPMask     string `json:"ipMask"`     // an address, or a range of them in CIDR notation
}

// switchesOf shows what is turned on.
func switchesOf(s *access.Switches) switchesInfo {
	var info switchesInfo
	on := true
	if s.DisableLocalAuth {
		info.DisableLocalAuth = &on
	}
	if s.DisableDeviceSAS {
		info.DisableDeviceSAS = &on
	}
	if s.DisableModuleSAS {
		info.DisableModuleSAS = &on
	}
	if s.MinTLS != 0 {
		version := strings.TrimPrefix(tls.VersionName(s.MinTLS), "TLS ")
		info.MinTLSVersion = &version
	}
	if len(s.Network.Allow) > 0 {
		rules := networkRuleSets{DefaultAction: "Deny", ApplyToEvents: s.Network.Events}
		for i, p := range s.Network.Allow {
			rules.IPRules = append(rules.IPRules, ipRule{fmt.Sprintf("rule%d", i+1), "Allow", p.String()})
		}
		info.NetworkRuleSets = &rules
	}
	return info
}

// change reads what is there.
func (i *switchesInfo) change() (c hub.SwitchChange, err error) {
	c.DisableLocalAuth, c.DisableDeviceSAS, c.DisableModuleSAS = i.DisableLocalAuth, i.DisableDeviceSAS, i.DisableModuleSAS
	if i.MinTLSVersion != nil {
		version, ok := map[string]uint16{"": 0, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[*i.MinTLSVersion]
		if !ok {
			return c, hubward.Errorf(hubward.CodeArgumentInvalid, "minTlsVersion: %.20q is not 1.2 or 1.3", *i.MinTLSVersion)
		}
		c.MinTLS = &version
	}
	if i.NetworkRuleSets != nil {
		c.Network, err = i.NetworkRuleSets.rules()
	}
	return c, err
}

func (n *networkRuleSets) rules() (*access.NetworkRules, error) {
	if len(n.IPRules) > access.MaxNetworkRules {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "networkRuleSets.ipRules: %d are more than %d", len(n.IPRules), access.MaxNetworkRules)
	}
	action := "Deny"
	if len(n.IPRules) == 0 {
		action = "Allow" // rules without any would let nobody in
	}
	if n.DefaultAction != "" && !strings.EqualFold(n.DefaultAction, action) {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "networkRuleSets.defaultAction: %.20q is not %s, as it is with %d rules", n.DefaultAction, action, len(n.IPRules))
	}
	rules := &access.NetworkRules{Events: n.ApplyToEvents}
	for i, r := range n.IPRules {
		if r.Action != "" && !strings.EqualFold(r.Action, "Allow") {
			return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "networkRuleSets.ipRules[%d].action: %.20q is not Allow", i, r.Action)
		}
		p, err := parseMask(r.IPMask)
		if err != nil {
			return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "networkRuleSets.ipRules[%d].ipMask: %.60q is no address and no range of them such as 192.0.2.0/24", i, r.IPMask)
		}
		rules.Allow = append(rules.Allow, p)
	}
	return rules, nil
}

// parseMask reads a range of addresses, or one address.
func parseMask(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		return netip.ParsePrefix(text)
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	if a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("the address has a zone")
	}
	return a.Prefix(a.BitLen())
}
