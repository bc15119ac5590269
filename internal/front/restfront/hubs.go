package restfront

import (
	"errors"
	"net/http"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// hubInfo is a hub as management calls show it; it holds no key.
type hubInfo struct {
	Name           string       `json:"name"`
	HostNames      []string     `json:"hostNames"` // may be empty: every hub also answers to NAME.localhost
	Partitions     int          `json:"partitions"`
	Retention      string       `json:"retention"` // e.g. "24h0m0s"
	Created        hubward.Time `json:"created"`
	ConsumerGroups []string     `json:"consumerGroups"`
	CloudToDevice  c2dInfo      `json:"cloudToDevice"`
	switchesInfo
}

// c2dInfo are a hub's settings of cloud-to-device messages, as the cloud's resource manager names them. Durations are as
// hubward.ParseDuration reads them.
type c2dInfo struct {
	DefaultTTL       string       `json:"defaultTtl"`
	MaxDeliveryCount int          `json:"maxDeliveryCount"`
	Feedback         feedbackInfo `json:"feedback"`
}

type feedbackInfo struct {
	TTL              string `json:"ttl"`
	LockDuration     string `json:"lockDuration"`
	MaxDeliveryCount int    `json:"maxDeliveryCount"`
}

func c2dInfoOf(s *hub.C2DSettings) c2dInfo {
	return c2dInfo{
		DefaultTTL: s.DefaultTTL.String(), MaxDeliveryCount: s.MaxDeliveryCount,
		Feedback: feedbackInfo{TTL: s.FeedbackTTL.String(), LockDuration: s.FeedbackLock.String(), MaxDeliveryCount: s.FeedbackMaxDeliveryCount},
	}
}

// settings reads the durations. What is empty or zero is left to the hub.
func (i *c2dInfo) settings() (s hub.C2DSettings, err error) {
	s.MaxDeliveryCount, s.FeedbackMaxDeliveryCount = i.MaxDeliveryCount, i.Feedback.MaxDeliveryCount
	for _, d := range []struct {
		name, text string
		into       *time.Duration
	}{
		{"cloudToDevice.defaultTtl", i.DefaultTTL, &s.DefaultTTL},
		{"cloudToDevice.feedback.ttl", i.Feedback.TTL, &s.FeedbackTTL},
		{"cloudToDevice.feedback.lockDuration", i.Feedback.LockDuration, &s.FeedbackLock},
	} {
		if *d.into, err = positiveDuration(d.name, d.text); err != nil {
			return s, err
		}
	}
	return s, nil
}

// positiveDuration reads a duration that is given; zero: it is not.
func positiveDuration(name, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := hubward.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, hubward.Errorf(hubward.CodeArgumentInvalid, "%s: %.40q is not a positive duration such as 36h or 7d", name, text)
	}
	return d, nil
}

func infoOf(c *hub.Config) hubInfo {
	info := hubInfo{
		Name: c.Name, HostNames: c.HostNames, Partitions: c.Partitions, Retention: c.Retention.String(),
		Created: hubward.Time{Time: c.Created}, ConsumerGroups: c.ConsumerGroups, CloudToDevice: c2dInfoOf(&c.C2D),
		switchesInfo: switchesOf(&c.Switches),
	}
	if info.HostNames == nil {
		info.HostNames = []string{}
	}
	return info
}

// hubBody is the body of createHub and updateHub. Absent members have the hub's defaults in the one, and stay as they
// are in the other.
type hubBody struct {
	HostNames     []string `json:"hostNames"`
	Partitions    int      `json:"partitions"`
	Retention     string   `json:"retention"` // as hubward.ParseDuration reads it
	CloudToDevice c2dInfo  `json:"cloudToDevice"`
	switchesInfo
}

// readHub reads a hubBody, in which zero means absent.
func (c *call) readHub() (n hub.NewHub, switches hub.SwitchChange, err error) {
	body, err := c.readBody(maxBody)
	if err != nil {
		return n, switches, err
	}
	var b hubBody
	if err := decode(body, &b); err != nil {
		return n, switches, err
	}
	n = hub.NewHub{Name: c.params[0], HostNames: b.HostNames, Partitions: b.Partitions}
	if n.Retention, err = positiveDuration("retention", b.Retention); err != nil {
		return n, switches, err
	}
	if n.C2D, err = b.CloudToDevice.settings(); err != nil {
		return n, switches, err
	}
	switches, err = b.change()
	return n, switches, err
}

// currentHub tells who holds a policy's key, whatever the policy permits, about the hub that it talks to; not who was given a
// token for something else in it.
func currentHub(c *call) error {
	if !c.principal.Allows(0, c.path...) {
		return unauthorized(errors.New("the token is for another resource"))
	}
	config, err := c.server.hub.OwnHub(&c.principal)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, infoOf(&config))
}

func getHub(c *call) error {
	config, err := c.server.hub.Hub(&c.principal, c.params[0])
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, infoOf(&config))
}

func listHubs(c *call) error {
	configs, err := c.server.hub.Hubs(&c.principal)
	if err != nil {
		return err
	}
	infos := make([]hubInfo, len(configs))
	for i := range configs {
		infos[i] = infoOf(&configs[i])
	}
	return c.answer(http.StatusOK, infos)
}

func createHub(c *call) error {
	n, switches, err := c.readHub()
	if err != nil {
		return err
	}
	switches.Apply(&n.Switches)
	config, err := c.server.hub.CreateHub(c.ctx, &c.principal, n)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, infoOf(&config))
}

func updateHub(c *call) error {
	n, switches, err := c.readHub()
	if err != nil {
		return err
	}
	if n.Partitions != 0 {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "partitions: their number is fixed when a hub is created")
	}
	change := hub.HubChange{HostNames: n.HostNames, Retention: n.Retention, C2D: n.C2D, Switches: switches}
	config, err := c.server.hub.UpdateHub(c.ctx, &c.principal, n.Name, change)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, infoOf(&config))
}

func deleteHub(c *call) error {
	if err := c.server.hub.DeleteHub(c.ctx, &c.principal, c.params[0]); err != nil {
		return err
	}
	return c.done()
}
