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

// hubBody is the body of createHub. Absent members have the hub's defaults.
type hubBody struct {
	HostNames  []string `json:"hostNames"`
	Partitions int      `json:"partitions"`
	Retention  string   `json:"retention"`
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
	body, err := c.readBody(maxBody)
	if err != nil {
		return err
	}
	var b hubBody
	if err := decode(body, &b); err != nil {
		return err
	}
	n := hub.NewHub{Name: c.params[0], HostNames: b.HostNames, Partitions: b.Partitions}
	if b.Retention != "" {
		if n.Retention, err = time.ParseDuration(b.Retention); err != nil {
			return hubward.Errorf(hubward.CodeArgumentInvalid, "retention: %.40q is no duration such as 24h", b.Retention)
		}
	}
	config, err := c.server.hub.CreateHub(c.r.Context(), n)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, infoOf(&config))
}

func deleteHub(c *call) error {
	if err := c.server.hub.DeleteHub(c.r.Context(), c.params[0]); err != nil {
		return err
	}
	return c.done()
}
