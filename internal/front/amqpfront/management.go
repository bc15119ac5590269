package amqpfront

import (
	"strconv"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

// The types of entities that $management tells about.
const (
	typeEventHub  = "com.microsoft:eventhub"
	typePartition = "com.microsoft:partition"
)

// attachManagement accepts a link to $management of anybody: what is asked there is authorized each time.
func attachManagement(c *conn, l *amqpengine.Link, a *address) *amqpwire.Error {
	switch {
	case a.eventHub == "" || c.isEventHub(a.eventHub):
		return c.attachOpen(c.management, l, "$management")
	case c.unauthenticated():
		return unauthorized("Unauthorized access: there is no token yet.")
	}
	return noSuchEntity(c, l, a)
}

// propertySecurityToken is the application property of a request that holds a token for it.
//
// Source: ManagementChannel.java of Azure/azure-sdk-for-java sdk/eventhubs/azure-messaging-eventhubs, which puts no token to
// $cbs before; _pyamqp/management_operation.py of azure-eventhub.
const propertySecurityToken = "security_token"

// reader finds the principal that a request to read the event hub is made for: one that the connection has, or that of the
// token in the request, which the connection has from then on.
func (c *conn) reader(m *amqpwire.Message) (*access.Principal, *reply) {
	r := readEventHub(c)
	if p := c.meeting(r); p != nil {
		return p, nil
	}
	refused := failure(401, unauthorized("Unauthorized access: 'Listen' claim(s) are required to perform this operation."))
	token, _ := amqpwire.Text(m.ApplicationProperties.Get(propertySecurityToken))
	if token == "" {
		return nil, &refused
	}
	if taken := c.takeToken(token); taken.code != 200 {
		return nil, &taken
	}
	if p := c.meeting(r); p != nil {
		return p, nil
	}
	return nil, &refused
}

// manage answers a request at $management: READ of the event hub or of one of its partitions. The types of what it
// returns are exact: SDKs assert them.
//
// Source: Azure/azure-sdk-for-go sdk/messaging/azeventhubs/mgmt.go; EventHubMessageSerializer.java of
// Azure/azure-sdk-for-java.
func (c *conn) manage(_ *amqpengine.Link, m *amqpwire.Message) reply {
	properties := m.ApplicationProperties
	operation, _ := amqpwire.Text(properties.Get("operation"))
	if !strings.EqualFold(operation, "READ") {
		return failure(501, notImplemented("The operation %.64q is not supported, only READ is.", operation))
	}
	p, refused := c.reader(m)
	if refused != nil {
		return *refused
	}
	config, err := c.server.hub.EventHub(p)
	if err != nil {
		return failedRead(err)
	}
	name, _ := amqpwire.Text(properties.Get("name"))
	if name != "" && !c.isEventHub(name) {
		return failure(404, newError(amqpwire.NotFound, "The messaging entity 'sb://%s/%s' could not be found.", c.host, clip(name)))
	}
	entityType, _ := amqpwire.Text(properties.Get("type"))
	switch strings.ToLower(entityType) {
	case typeEventHub:
		return reply{code: 200, text: "OK", value: eventHubInfo(&config)}
	case typePartition:
		return c.readPartition(p, partitionText(properties.Get("partition")))
	}
	return failure(400, argumentError("The type %.64q is not known, only %s and %s are.", entityType, typeEventHub, typePartition))
}

func failedRead(err error) reply {
	e := wireError(err)
	switch e.Condition {
	case amqpwire.UnauthorizedAccess:
		return failure(401, unauthorized("Unauthorized access: 'Listen' claim(s) are required to perform this operation."))
	case amqpwire.NotFound:
		return failure(404, e)
	case conditionOutOfRange, conditionArgument:
		return failure(400, e)
	case conditionServerBusy:
		return failure(503, e)
	}
	return failure(500, e)
}

func eventHubInfo(config *hub.Config) amqpwire.Map {
	ids := make(amqpwire.Array, config.Partitions)
	for i := range ids {
		ids[i] = strconv.Itoa(i)
	}
	return amqpwire.Map{
		{Key: "name", Value: config.Name},
		{Key: "type", Value: typeEventHub},
		{Key: "created_at", Value: config.Created},
		{Key: "partition_count", Value: int32(config.Partitions)},
		{Key: "partition_ids", Value: ids},
		{Key: "georeplication_factor", Value: int32(1)},
	}
}

// noEpoch is the replication epoch of a sequence number where nothing is replicated to another region. Rust's client fails
// where it is missing, be it only among the keys.
//
// Source: Azure/azure-sdk-for-rust sdk/eventhubs/azure_messaging_eventhubs/src/common/management.rs.
const noEpoch int32 = -1

func (c *conn) readPartition(p *access.Principal, text string) reply {
	bounds, err := c.server.hub.PartitionBounds(c.engine.Context(), p, partitionID(text))
	if err != nil {
		if conditionOf(hubward.CodeOf(err)) == amqpwire.InternalError {
			c.logger.Error("amqp partition information failed", "hub", c.hub.Name, "partition", text, "error", err)
		}
		return failedRead(err)
	}
	last := bounds.Next - 1
	at := bounds.LastEnqueued
	if at.IsZero() {
		at = time.Unix(0, 0) // some clients cannot go as far back as the zero time
	}
	return reply{code: 200, text: "OK", value: amqpwire.Map{
		{Key: "name", Value: c.hub.Name},
		{Key: "type", Value: typePartition},
		{Key: "partition", Value: text},
		{Key: "begin_sequence_number", Value: bounds.First},
		{Key: "begin_sequence_number_epoch", Value: noEpoch},
		{Key: "last_enqueued_sequence_number", Value: last},
		{Key: "last_enqueued_sequence_number_epoch", Value: noEpoch},
		{Key: "last_enqueued_offset", Value: hub.FormatOffset(last)},
		{Key: "last_enqueued_time_utc", Value: at},
		{Key: "is_partition_empty", Value: bounds.First > last},
		{Key: "runtime_info_retrieval_time_utc", Value: c.server.now()},
	}}
}

// partitionText reads a partition's id, which one client sends as a number.
func partitionText(v any) string {
	if text, ok := amqpwire.Text(v); ok {
		return text
	}
	if n, ok := amqpwire.Integer(v); ok {
		return strconv.FormatInt(n, 10)
	}
	return ""
}

// partitionID returns the number of a partition, -1 for what is no id.
func partitionID(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || strconv.Itoa(n) != text {
		return -1
	}
	return n
}
