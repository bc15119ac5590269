package hub_test

import (
	"context"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// api is one node as tests call it: by the names of hubs, as the program itself, which may do everything. What principals
// may do is tested in permit_test.go.
type api struct {
	*hub.Hub
	changed func() // waits until all nodes know of a changed configuration
}

// of returns the program's principal for a hub, of no hub when there is none of that name.
func (a api) of(name string) *access.Principal {
	c, err := a.Hub.Hub(access.Process(access.HubRef{}), name)
	if err != nil {
		return access.Process(access.HubRef{Name: name})
	}
	return access.Process(access.HubRef{Name: c.Name, Created: c.Created})
}

// as returns the program's principal for an identity.
func (a api) as(ctx context.Context, name string, id hubward.Identity) (*access.Principal, error) {
	p := a.of(name)
	d, err := a.Hub.Device(ctx, p, id.Device)
	if err != nil {
		return nil, err
	}
	own, err := p.Speak(id, d, &access.Admission{}, time.Time{})
	return &own, err
}

func (a api) CreateHub(ctx context.Context, n hub.NewHub) (hub.Config, error) {
	c, err := a.Hub.CreateHub(ctx, a.of(""), n)
	a.changed()
	return c, err
}

func (a api) UpdateHub(ctx context.Context, name string, change hub.HubChange) (hub.Config, error) {
	c, err := a.Hub.UpdateHub(ctx, a.of(name), name, change)
	a.changed()
	return c, err
}

func (a api) DeleteHub(ctx context.Context, name string) error {
	err := a.Hub.DeleteHub(ctx, a.of(name), name)
	a.changed()
	return err
}

func (a api) HubOf(name string) (hub.Config, error) { return a.Hub.Hub(a.of(name), name) }

func (a api) AllHubs() []hub.Config {
	hubs, err := a.Hub.Hubs(a.of(""))
	if err != nil {
		panic(err)
	}
	return hubs
}

func (a api) Policies(name string) ([]access.Policy, error) { return a.Hub.Policies(a.of(name), name) }

func (a api) CreatePolicy(ctx context.Context, name, policy string, p access.Permissions) (access.Policy, error) {
	made, err := a.Hub.CreatePolicy(ctx, a.of(name), name, policy, p)
	a.changed()
	return made, err
}

func (a api) RegeneratePolicyKey(ctx context.Context, name, policy string, primary bool) (access.Policy, error) {
	made, err := a.Hub.RegeneratePolicyKey(ctx, a.of(name), name, policy, primary)
	a.changed()
	return made, err
}

func (a api) DeletePolicy(ctx context.Context, name, policy string) error {
	err := a.Hub.DeletePolicy(ctx, a.of(name), name, policy)
	a.changed()
	return err
}

func (a api) ConsumerGroups(name string) ([]string, error) {
	return a.Hub.ConsumerGroups(a.of(name), name)
}

func (a api) CreateConsumerGroup(ctx context.Context, name, group string) error {
	err := a.Hub.CreateConsumerGroup(ctx, a.of(name), name, group)
	a.changed()
	return err
}

func (a api) DeleteConsumerGroup(ctx context.Context, name, group string) error {
	err := a.Hub.DeleteConsumerGroup(ctx, a.of(name), name, group)
	a.changed()
	return err
}

func (a api) Device(ctx context.Context, name, id string) (*hubward.Device, error) {
	return a.Hub.Device(ctx, a.of(name), id)
}

func (a api) Devices(ctx context.Context, name string, top int) ([]hubward.Device, error) {
	return a.Hub.Devices(ctx, a.of(name), "", top)
}

func (a api) PutDevice(ctx context.Context, name string, d hubward.Device, ifMatch string) (*hubward.Device, error) {
	return a.Hub.PutDevice(ctx, a.of(name), d, ifMatch)
}

func (a api) DeleteDevice(ctx context.Context, name, id, ifMatch string) error {
	return a.Hub.DeleteDevice(ctx, a.of(name), id, ifMatch)
}

func (a api) BulkDevices(ctx context.Context, name string, items []hub.BulkItem) ([]hub.BulkError, error) {
	return a.Hub.BulkDevices(ctx, a.of(name), items)
}

func (a api) RegenerateDeviceKeys(ctx context.Context, name string, devices []string, primary, secondary bool) ([]hub.KeyRotation, error) {
	ids := make([]hubward.Identity, len(devices))
	for i, id := range devices {
		ids[i].Device = id
	}
	return a.Hub.RegenerateKeys(ctx, a.of(name), ids, primary, secondary)
}

func (a api) Module(ctx context.Context, name, device, module string) (*hubward.Module, error) {
	return a.Hub.Module(ctx, a.of(name), hubward.Identity{Device: device, Module: module})
}

func (a api) Modules(ctx context.Context, name, device string) ([]hubward.Module, error) {
	return a.Hub.Modules(ctx, a.of(name), device)
}

func (a api) PutModule(ctx context.Context, name string, m hubward.Module, ifMatch string) (*hubward.Module, error) {
	return a.Hub.PutModule(ctx, a.of(name), m, ifMatch)
}

func (a api) DeleteModule(ctx context.Context, name, device, module, ifMatch string) error {
	return a.Hub.DeleteModule(ctx, a.of(name), hubward.Identity{Device: device, Module: module}, ifMatch)
}

func (a api) DeviceStatistics(ctx context.Context, name string) (hubward.RegistryStatistics, error) {
	return a.Hub.DeviceStatistics(ctx, a.of(name))
}

func (a api) ServiceStatistics(ctx context.Context, name string) (hubward.ServiceStatistics, error) {
	return a.Hub.ServiceStatistics(ctx, a.of(name))
}

func (a api) SendC2D(ctx context.Context, name, device string, m *hubward.Message) error {
	return a.Hub.SendC2D(ctx, a.of(name), hubward.Identity{Device: device}, m)
}

func (a api) PurgeC2D(ctx context.Context, name, device string) (int, error) {
	return a.Hub.PurgeC2D(ctx, a.of(name), hubward.Identity{Device: device})
}

func (a api) TakeC2D(ctx context.Context, name, device string, lock time.Duration) (*hub.C2DDelivery, error) {
	p, err := a.as(ctx, name, hubward.Identity{Device: device})
	if err != nil {
		return nil, err
	}
	return a.Hub.TakeC2D(ctx, p, lock)
}

func (a api) SettleC2D(ctx context.Context, name, device, token string, outcome hub.C2DOutcome) error {
	p, err := a.as(ctx, name, hubward.Identity{Device: device})
	if err != nil {
		return err
	}
	return a.Hub.SettleC2D(ctx, p, token, outcome)
}

func (a api) TakeFeedback(ctx context.Context, name string) (*hub.NotificationDelivery, error) {
	return a.Hub.TakeNotification(ctx, a.of(name), hub.NotificationFeedback)
}

func (a api) WaitFeedback(ctx context.Context, name string) (*hub.NotificationDelivery, error) {
	return a.Hub.WaitNotification(ctx, a.of(name), hub.NotificationFeedback)
}

func (a api) SettleFeedback(ctx context.Context, name, token string, outcome hub.C2DOutcome) error {
	return a.Hub.SettleNotification(ctx, a.of(name), hub.NotificationFeedback, token, outcome)
}

func (a api) Twin(ctx context.Context, name, device string) (*hubward.Twin, error) {
	return a.Hub.Twin(ctx, a.of(name), hubward.Identity{Device: device})
}

func (a api) UpdateTwin(ctx context.Context, name, device string, u hub.TwinUpdate, ifMatch string) (*hubward.Twin, error) {
	return a.Hub.UpdateTwin(ctx, a.of(name), hubward.Identity{Device: device}, u, ifMatch)
}

func (a api) ReplaceTwin(ctx context.Context, name, device string, u hub.TwinUpdate, ifMatch string) (*hubward.Twin, error) {
	return a.Hub.ReplaceTwin(ctx, a.of(name), hubward.Identity{Device: device}, u, ifMatch)
}

func (a api) InvokeMethod(ctx context.Context, name string, id hubward.Identity, call hubward.MethodCall) (hubward.MethodResult, error) {
	return a.Hub.InvokeMethod(ctx, a.of(name), id, call)
}

func (a api) ReadEvents(ctx context.Context, name string, q hub.EventQuery, visit func(*hubward.Event) error) error {
	return a.Hub.ReadEvents(ctx, a.of(name), q, visit)
}

func (a api) OpenReader(ctx context.Context, name string, o hub.ReaderOptions) (*hub.Reader, error) {
	return a.Hub.OpenReader(ctx, a.of(name), o)
}

func (a api) PartitionBounds(ctx context.Context, name string, partition int) (hub.Bounds, error) {
	return a.Hub.PartitionBounds(ctx, a.of(name), partition)
}

// logIn is what a front end does with a device's CONNECT.
type logIn struct {
	Host     string
	Identity hubward.Identity
	Token    string
	ModelID  string
	Session  hub.Session
}

func (a api) logIn(ctx context.Context, r logIn) (*hub.Link, error) {
	ref, err := a.HubFor(r.Host)
	if err != nil {
		return nil, err
	}
	p, err := a.Authenticate(ctx, access.Credential{Hub: ref.Name, Identity: r.Identity, Token: r.Token})
	if err != nil {
		return nil, err
	}
	return a.Connect(ctx, &p, hub.ConnectRequest{Identity: r.Identity, ModelID: r.ModelID, Session: r.Session})
}

func sign(host string, d *hubward.Device, expiry time.Time) (string, error) {
	return sas.Sign(host+"/devices/"+d.DeviceID, string(d.Authentication.SymmetricKey.PrimaryKey), "", expiry)
}
