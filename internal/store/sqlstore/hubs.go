package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

// Hubs returns all hubs, oldest first. It is one query, so that a hub and its policies are of the same moment.
func (s *Store) Hubs(ctx context.Context) ([]hub.Config, error) {
	var hubs []hub.Config
	err := s.read.each(ctx, func(row scanner) error {
		c, policy, err := scanHub(row)
		if err != nil {
			return err
		}
		if n := len(hubs); n == 0 || hubs[n-1].Name != c.Name {
			hubs = append(hubs, c)
		}
		if policy != nil {
			last := &hubs[len(hubs)-1]
			last.Policies = append(last.Policies, *policy)
		}
		return nil
	}, `SELECT h.name, h.version, h.host_names, h.partitions, h.retention_ns, h.consumer_groups, h.created, h.c2d, h.log_name,
			h.switches, h.authorities, h.issuing, p.name, p.permissions, p.primary_key, p.secondary_key
		FROM hubs h LEFT JOIN policies p ON p.hub = h.name
		ORDER BY coalesce(h.created, 0), h.name, p.position`)
	if err != nil {
		return nil, s.fail("sqlstore.Hubs", err)
	}
	return hubs, nil
}

// scanHub reads a hub with one of its policies, nil when it has none.
func scanHub(row scanner) (hub.Config, *access.Policy, error) {
	var (
		c                          hub.Config
		hostNames, groups, c2d     string
		switches, cas, issuing     string
		created, permissions       sql.NullInt64
		policy, primary, secondary sql.NullString
	)
	err := row.Scan(&c.Name, &c.Version, &hostNames, &c.Partitions, (*int64)(&c.Retention), &groups, &created, &c2d, &c.LogName,
		&switches, &cas, &issuing, &policy, &permissions, &primary, &secondary)
	if err != nil {
		return c, nil, err
	}
	if c.HostNames, err = listOf[string](hostNames); err != nil {
		return c, nil, err
	}
	if c.ConsumerGroups, err = listOf[string](groups); err != nil {
		return c, nil, err
	}
	if c.C2D, err = c2dSettings(c2d); err != nil {
		return c, nil, err
	}
	if err := readAdmission(&c, switches, cas, issuing); err != nil {
		return c, nil, err
	}
	c.Created = timeOf(created)
	if !policy.Valid {
		return c, nil, nil
	}
	return c, &access.Policy{
		Name: policy.String, Permissions: access.Permissions(permissions.Int64),
		PrimaryKey: primary.String, SecondaryKey: secondary.String,
	}, nil
}

// SaveHub stores c if nobody has stored that hub since c was read; its identities stay.
func (s *Store) SaveHub(ctx context.Context, c hub.Config) error {
	return s.update(ctx, "sqlstore.SaveHub", func(tx *writeTx) error {
		if err := saveHub(tx, c); err != nil {
			return err
		}
		if err := saveHosts(tx, c); err != nil {
			return err
		}
		return savePolicies(tx, c)
	})
}

// saveHub compares the version in the statement that writes, which is atomic with any number of writers.
func saveHub(tx *writeTx, c hub.Config) error {
	hostNames, err := jsonList(c.HostNames)
	if err != nil {
		return err
	}
	groups, err := jsonList(c.ConsumerGroups)
	if err != nil {
		return err
	}
	c2d, err := c2dText(c.C2D)
	if err != nil {
		return err
	}
	admission, err := admissionTexts(&c)
	if err != nil {
		return err
	}
	statement, refusal := updateHub, hubward.Errorf(hubward.CodePreconditionFailed, "hub %s was changed or deleted meanwhile", c.Name)
	if c.Version == 0 {
		statement, refusal = insertHub, hubward.Errorf(hubward.CodeHubAlreadyExists, "hub %s exists already", c.Name)
	}
	n, err := tx.change(statement, c.Name, hostNames, c.Partitions, int64(c.Retention), groups, nullTicks(c.Created), c2d, c.Version+1, c.LogName,
		admission[0], admission[1], admission[2])
	if err != nil {
		return err
	}
	if n == 0 {
		return refusal
	}
	return nil
}

const (
	// insertHub inserts nothing when the name is taken, in any case.
	insertHub = `INSERT INTO hubs (name, host_names, partitions, retention_ns, consumer_groups, created, c2d, version, log_name,
			switches, authorities, issuing)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`
	updateHub = `UPDATE hubs SET host_names = $2, partitions = $3, retention_ns = $4, consumer_groups = $5, created = $6,
			c2d = $7, version = $8, switches = $10, authorities = $11, issuing = $12
		WHERE name = $1 AND version = $8 - 1 AND log_name = $9`
)

// saveHosts makes the hub's host names lead to it. One that leads to another hub stays there.
func saveHosts(tx *writeTx, c hub.Config) error {
	if _, err := tx.exec(`DELETE FROM hub_hosts WHERE hub = $1`, c.Name); err != nil {
		return err
	}
	for _, host := range c.HostNames {
		n, err := tx.change(`INSERT INTO hub_hosts (host, hub) VALUES ($1, $2) ON CONFLICT (host) DO NOTHING`, host, c.Name)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		row, err := tx.row(`SELECT hub FROM hub_hosts WHERE host = $1`, host)
		if err != nil {
			return err
		}
		var owner string
		if err := row.Scan(&owner); err != nil {
			return err
		}
		if owner != c.Name { // otherwise the list has it twice
			return hubward.Errorf(hubward.CodeArgumentInvalid, "hostNames: %s is a name of hub %s", host, owner)
		}
	}
	return nil
}

func savePolicies(tx *writeTx, c hub.Config) error {
	if _, err := tx.exec(`DELETE FROM policies WHERE hub = $1`, c.Name); err != nil {
		return err
	}
	for i, p := range c.Policies {
		_, err := tx.exec(`INSERT INTO policies (hub, name, position, permissions, primary_key, secondary_key)
			VALUES ($1, $2, $3, $4, $5, $6)`,
			c.Name, p.Name, i, int64(p.Permissions), p.PrimaryKey, p.SecondaryKey)
		if err != nil {
			return err
		}
	}
	return nil
}

// c2dColumn is the JSON of hub.C2DSettings, durations in nanoseconds.
type c2dColumn struct {
	DefaultTTL               int64 `json:"defaultTtl,omitempty"`
	MaxDeliveryCount         int   `json:"maxDeliveryCount,omitempty"`
	FeedbackTTL              int64 `json:"feedbackTtl,omitempty"`
	FeedbackLock             int64 `json:"feedbackLock,omitempty"`
	FeedbackMaxDeliveryCount int   `json:"feedbackMaxDeliveryCount,omitempty"`
}

func c2dText(s hub.C2DSettings) (string, error) {
	text, err := json.Marshal(c2dColumn{
		DefaultTTL: int64(s.DefaultTTL), MaxDeliveryCount: s.MaxDeliveryCount,
		FeedbackTTL: int64(s.FeedbackTTL), FeedbackLock: int64(s.FeedbackLock), FeedbackMaxDeliveryCount: s.FeedbackMaxDeliveryCount,
	})
	return string(text), err
}

func c2dSettings(text string) (hub.C2DSettings, error) {
	var c c2dColumn
	err := json.Unmarshal([]byte(text), &c)
	return hub.C2DSettings{
		DefaultTTL: time.Duration(c.DefaultTTL), MaxDeliveryCount: c.MaxDeliveryCount,
		FeedbackTTL: time.Duration(c.FeedbackTTL), FeedbackLock: time.Duration(c.FeedbackLock),
		FeedbackMaxDeliveryCount: c.FeedbackMaxDeliveryCount,
	}, err
}
