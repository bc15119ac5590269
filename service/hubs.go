package service

import (
	"context"
	"net/http"
	"time"

	"github.com/hubward/hubward"
)

// own is the first segment of the paths that only Hubward has.
const own = "$hubward"

// Hub describes one hub of a Hubward process.
type Hub struct {
	Name           string       `json:"name"`
	HostNames      []string     `json:"hostNames"` // as given; every hub also answers to NAME.localhost
	Partitions     int          `json:"partitions"`
	Retention      Duration     `json:"retention"`
	Created        hubward.Time `json:"created"`
	ConsumerGroups []string     `json:"consumerGroups"`
	CloudToDevice  C2DSettings  `json:"cloudToDevice"`
	Switches
}

// C2DSettings are a hub's settings of cloud-to-device messages. Zero members of NewHub mean the defaults, those of
// HubChange leave what is there.
type C2DSettings struct {
	DefaultTTL       Duration         `json:"defaultTtl,omitzero"`       // of a message without an expiry: 1 min to 2 d; 1 h
	MaxDeliveryCount int              `json:"maxDeliveryCount,omitzero"` // 1 to 100; 10
	Feedback         FeedbackSettings `json:"feedback,omitzero"`
}

// FeedbackSettings are a hub's settings of feedback messages.
type FeedbackSettings struct {
	TTL              Duration `json:"ttl,omitzero"`              // 1 min to 2 d; 1 h
	LockDuration     Duration `json:"lockDuration,omitzero"`     // 5 s to 5 min; 1 min
	MaxDeliveryCount int      `json:"maxDeliveryCount,omitzero"` // 1 to 100; 10
}

// NewHub says what hub to create. Zero Partitions means 4, zero Retention 24 hours.
type NewHub struct {
	Name          string
	HostNames     []string
	Partitions    int
	Retention     time.Duration
	CloudToDevice C2DSettings
	Switches      Switches
}

// Duration is a time.Duration whose JSON is the text of its String method, such as "24h0m0s".
type Duration time.Duration

// String returns the form of time.Duration.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText returns the form of time.Duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what hubward.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := hubward.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// ThisHub describes the hub that the client talks to. Any policy may ask. Hubward only.
func (c *Client) ThisHub(ctx context.Context) (*Hub, error) {
	return c.hubCall(ctx, &request{op: "service.ThisHub", method: http.MethodGet, path: []string{own, "hub"}})
}

// Hubs lists the hubs of the process, oldest first. It needs the operator: a policy of the first hub that has all
// permissions. Hubward only.
//
// Errors: CodeUnauthorizedAccess.
func (c *Client) Hubs(ctx context.Context) ([]Hub, error) {
	var hubs []Hub
	err := c.do(ctx, &request{op: "service.Hubs", method: http.MethodGet, path: []string{own, "hubs"}}, &hubs)
	return hubs, err
}

// Hub describes one hub. It needs the operator. Hubward only.
//
// Errors: CodeNoSuchHub, CodeUnauthorizedAccess.
func (c *Client) Hub(ctx context.Context, name string) (*Hub, error) {
	return c.hubCall(ctx, &request{op: "service.Hub", method: http.MethodGet, path: []string{own, "hubs", name}})
}

// CreateHub makes a hub with the five default policies. It needs the operator. Hubward only.
//
// Errors: CodeHubAlreadyExists, CodeArgumentInvalid, CodeQuotaExceeded, CodeUnauthorizedAccess.
func (c *Client) CreateHub(ctx context.Context, n NewHub) (*Hub, error) {
	body := struct {
		HostNames     []string    `json:"hostNames,omitempty"`
		Partitions    int         `json:"partitions,omitempty"`
		Retention     Duration    `json:"retention,omitzero"`
		CloudToDevice C2DSettings `json:"cloudToDevice,omitzero"`
		Switches
	}{n.HostNames, n.Partitions, Duration(n.Retention), n.CloudToDevice, n.Switches}
	return c.hubCall(ctx, &request{op: "service.CreateHub", method: http.MethodPut, path: []string{own, "hubs", n.Name}, body: body})
}

// HubChange says what UpdateHub changes; what it leaves out stays as it is.
type HubChange struct {
	HostNames     []string      // replace all that the hub had; nil: they stay; an empty list: none but those that every hub has
	Retention     time.Duration // zero: it stays
	CloudToDevice C2DSettings   // zero members stay
	Switches      SwitchChange
}

// UpdateHub changes the host names, the retention, the cloud-to-device settings and the switches of a hub. Connections that the
// hub would not let in any more are closed. It needs the operator, whom no switch of the first hub keeps from it.
// Hubward only.
//
// Errors: CodeNoSuchHub, CodeArgumentInvalid, CodeUnauthorizedAccess.
func (c *Client) UpdateHub(ctx context.Context, name string, change HubChange) (*Hub, error) {
	body := struct {
		HostNames     []string    `json:"hostNames,omitzero"`
		Retention     Duration    `json:"retention,omitzero"`
		CloudToDevice C2DSettings `json:"cloudToDevice,omitzero"`
		SwitchChange
	}{change.HostNames, Duration(change.Retention), change.CloudToDevice, change.Switches}
	return c.hubCall(ctx, &request{op: "service.UpdateHub", method: http.MethodPatch, path: []string{own, "hubs", name}, body: body})
}

// DeleteHub removes a hub with its devices, policies and telemetry. It needs the operator. Hubward only.
//
// Errors: CodeNoSuchHub; CodeInvalidOperation for the first hub; CodeUnauthorizedAccess.
func (c *Client) DeleteHub(ctx context.Context, name string) error {
	return c.do(ctx, &request{op: "service.DeleteHub", method: http.MethodDelete, path: []string{own, "hubs", name}}, nil)
}

func (c *Client) hubCall(ctx context.Context, r *request) (*Hub, error) {
	h := new(Hub)
	if err := c.do(ctx, r, h); err != nil {
		return nil, err
	}
	return h, nil
}
