//go:build interop

package interop_test

// nodeReaders lists the readers on Node SDKs: the current one over each transport, and the two old ones, which take the
// hub's connection string and follow its redirect as well as the endpoint's own string.
func nodeReaders() []reader {
	all := []reader{
		// The three transports write the same filters, and so do the two forms of connection string.
		eh6("eh6", "amqp", start{"offset", false}, start{"offset", true}, start{"sequence", false}, start{"sequence", true}, start{"time", false}),
		eh6("eh6-ws", "ws", start{"offset", false}),
		eh6("eh6-plain", "plain", start{"sequence", true}),
		eh02("eh02", "hub", start{"offset", false}, start{"offset", true}, start{"sequence", false}, start{"sequence", true}, start{"time", false}),
		eh02("eh02-endpoint", "endpoint", start{"sequence", false}),
		eh008("eh008", "hub", start{"offset", false}, start{"offset", true}, start{"sequence", false}, start{"time", false}, start{"time", true}),
		eh008("eh008-endpoint", "endpoint", start{"offset", false}),
	}
	for i, r := range all {
		switch r.name {
		case "eh6", "eh02", "eh008":
			all[i].info = sdks()[0].info("partition_info", nil, r.name)
		}
	}
	return all
}

// eh6 is @azure/event-hubs 6. It takes some failures to connect for final, ends the subscription to that partition, and
// begins it again, without checkpoints from its start.
func eh6(name, transport string, starts ...start) reader {
	return reader{
		name: name, open: sdks()[0].program("read_events_eh6", map[string]string{"TRANSPORT": transport}),
		starts: starts, exclusive: true, restarts: mayGoBack, names: namesWithClasses(),
	}
}

// eh02 is azure-event-hubs 0.2. It takes a lost connection for one that its user has closed and does not come back. by
// says which connection string it gets.
func eh02(name, by string, starts ...start) reader {
	return reader{
		name: name, open: sdks()[0].program("read_events_eh02", map[string]string{"BY": by}),
		starts: starts, exclusive: true, restarts: staysAway, names: namesWithClasses(),
	}
}

// namesWithClasses are the names of the two SDKs that translate conditions.
func namesWithClasses() map[refusal]string {
	return map[refusal]string{
		wrongKey: "UnauthorizedError", noGroup: "MessagingEntityNotFoundError", crowded: "QuotaExceededError", noPartition: "ArgumentOutOfRangeError",
		displaced: "ReceiverDisconnectedError", excluded: "ReceiverDisconnectedError", outranked: "ReceiverDisconnectedError",
	}
}

// eh008 is azure-event-hubs 0.0.8. It knows no owner levels, hands on the conditions that it has no class for, and does
// not come back by itself. by says which connection string it gets.
func eh008(name, by string, starts ...start) reader {
	names := map[refusal]string{
		wrongKey: "Error", noGroup: "MessagingEntityNotFoundError", crowded: "amqp:resource-limit-exceeded",
		displaced: "amqp:link:stolen", excluded: "amqp:link:stolen",
	}
	if by == "endpoint" {
		names[wrongKey] = "AmqpDisconnectedError"
	}
	return reader{
		name: name, open: sdks()[0].program("read_events_eh008", map[string]string{"BY": by}),
		starts: starts, restarts: staysAway, names: names,
	}
}
