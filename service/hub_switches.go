package service

// Switches turn ways to log in to a hub off. Their JSON is as the cloud's resource manager names them.
//
// Source: learn.microsoft.com/azure/templates/microsoft.devices/iothubs.
type Switches struct {
	DisableLocalAuth bool          `json:"disableLocalAuth,omitempty"` // no token or key of a policy lets anybody in
	DisableDeviceSAS bool          `json:"disableDeviceSAS,omitempty"` // no token by a device's own key lets it in
	DisableModuleSAS bool          `json:"disableModuleSAS,omitempty"` // no token by a module's own key lets anybody in
	MinTLSVersion    string        `json:"minTlsVersion,omitempty"`    // "1.2" or "1.3"; empty: any that the listener speaks
	NetworkRules     *NetworkRules `json:"networkRuleSets,omitempty"`  // nil: peers come from everywhere
}

// NetworkRules say from which addresses peers come in.
type NetworkRules struct {
	DefaultAction string   `json:"defaultAction,omitempty"`        // Deny, or Allow where there are no rules; may be empty
	ApplyToEvents bool     `json:"applyToBuiltInEventHubEndpoint"` // they count for readers of events too
	IPRules       []IPRule `json:"ipRules"`                        // at most 100; none: peers come from everywhere
}

// IPRule lets addresses in.
type IPRule struct {
	FilterName string `json:"filterName"` // the hub keeps none: it numbers them
	Action     string `json:"action"`     // Allow; may be empty
	IPMask     string `json:"ipMask"`     // e.g. 192.0.2.0/24, 192.0.2.7, 2001:db8::/32
}

// SwitchChange says which switches UpdateHub changes; nil: they stay.
type SwitchChange struct {
	DisableLocalAuth *bool         `json:"disableLocalAuth,omitempty"`
	DisableDeviceSAS *bool         `json:"disableDeviceSAS,omitempty"`
	DisableModuleSAS *bool         `json:"disableModuleSAS,omitempty"`
	MinTLSVersion    *string       `json:"minTlsVersion,omitempty"`   // "": none
	NetworkRules     *NetworkRules `json:"networkRuleSets,omitempty"` // replace all that there are
}
