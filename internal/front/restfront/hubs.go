package restfront

import (
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
}

func infoOf(c *hub.Config) hubInfo {
	info := hubInfo{
		Name: c.Name, HostNames: c.HostNames, Partitions: c.Partitions, Retention: c.Retention.String(),
		Created: hubward.Time{Time: c.Created}, ConsumerGroups: c.ConsumerGroups,
	}
	if info.HostNames == nil {
		info.HostNames = []string{}
	}
	return info
}

// hubBody is the body of createHub and updateHub. Absent members have the hub's defaults in the one, and stay as they
// are in the other.
type hubBody struct {
	HostNames  []string `json:"hostNames"`
	Partitions int      `json:"partitions"`
	Retention  string   `json:"retention"` // as hubward.ParseDuration reads it
}

// readHub reads a hubBody. Zero retention means that there is none in it.
func (c *call) readHub() (b hubBody, retention time.Duration, err error) {
	body, err := c.readBody(maxBody)
	if err != nil {
		return b, 0, err
	}
	if err := decode(body, &b); err != nil || b.Retention == "" {
		return b, 0, err
	}
	retention, err = hubward.ParseDuration(b.Retention)
	if err != nil || retention <= 0 {
		err = hubward.Errorf(hubward.CodeArgumentInvalid, "retention: %.40q is not a positive duration such as 36h or 7d", b.Retention)
	}
	return b, retention, err
}

// currentHub tells any caller with a valid token about the hub that it talks to.
func currentHub(c *call) error { return c.answerHub(c.hub) }

func getHub(c *call) error { return c.answerHub(c.params[0]) }

func (c *call) answerHub(name string) error {
	config, err := c.server.hub.Hub(name)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, infoOf(&config))
}

func listHubs(c *call) error {
	configs := c.server.hub.Hubs()
	infos := make([]hubInfo, len(configs))
	for i := range configs {
		infos[i] = infoOf(&configs[i])
	}
	return c.answer(http.StatusOK, infos)
}

func createHub(c *call) error {
	b, retention, err := c.readHub()
	if err != nil {
		return err
	}
	config, err := c.server.hub.CreateHub(c.r.Context(), hub.NewHub{
		Name: c.params[0], HostNames: b.HostNames, Partitions: b.Partitions, Retention: retention,
	})
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, infoOf(&config))
}

func updateHub(c *call) error {
	b, retention, err := c.readHub()
	if err != nil {
		return err
	}
	if b.Partitions != 0 {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "partitions: their number is fixed when a hub is created")
	}
	config, err := c.server.hub.UpdateHub(c.r.Context(), c.params[0], hub.HubChange{HostNames: b.HostNames, Retention: retention})
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, infoOf(&config))
}

func deleteHub(c *call) error {
	if err := c.server.hub.DeleteHub(c.r.Context(), c.params[0]); err != nil {
		return err
	}
	return c.done()
}
