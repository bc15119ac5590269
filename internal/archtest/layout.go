package archtest

// rule is one row of the layout: what a package is for and what it may import. Paths of our own packages are relative
// to the module, "." is the root. The standard library is always allowed, except what never lists.
type rule struct {
	pkg     string
	ours    []string            // packages of this module that it may import
	outside []string            // packages of other modules, each with everything below it
	never   []string            // packages of the standard library that it may not import, each with everything below it
	inFiles map[string][]string // narrows an entry of ours to files whose names begin so
	why     string              // printed with each violation
}

const (
	hubAPI      = "internal/hub"
	eventHubs   = "github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	accessLeaf  = "internal/hub/access" // the words of the hub's API: permissions and principals
	queueLeaf   = "internal/hub/c2dqueue"
	twinLeaf    = "internal/hub/twindoc"
	c2dLeaf     = "internal/hub/c2d"
	certLeaf    = "internal/hub/certrequest"
	groupCommit = "internal/eventlog/groupcommit"
	textLeaf    = "internal/utf8text"
)

// layout is the table, in reading order: from the nouns, over the public SDKs and the command, to the hub from the
// socket inwards.
func layout() []rule {
	return append(append(publicPackages(), hubPackages()...), testPackages()...)
}

func publicPackages() []rule {
	return []rule{
		{
			pkg: ".", never: []string{"net", "os", "database/sql"},
			why: "the nouns are shared by both SDKs and the hub: they do no I/O and bring in nobody",
		},
		{
			pkg: "sas", ours: []string{"."}, never: []string{"net/http", "os"},
			why: "tokens and connection strings are pure: keys and the time are passed in",
		},
		{
			pkg: "device", ours: []string{".", "sas", "internal/loopback", "internal/mqttwire", "internal/restwire", "internal/sysprops"},
			outside: []string{"github.com/Azure/go-amqp", "github.com/coder/websocket"},
			why:     "a device program must not carry the hub or the service SDK",
		},
		{
			pkg: "service", ours: []string{".", "sas", "internal/loopback", "internal/restwire"},
			why: "a back-end program must not carry the hub or the device SDK, and reads with a client that is not our engine",
		},
		{
			pkg: "cmd/hubward", ours: []string{"internal/cli"},
			why: "main hands its arguments to internal/cli and nothing more",
		},
		{
			pkg:     "internal/cli",
			ours:    []string{".", "sas", "device", "service", textLeaf, "internal/pki", "internal/app", "internal/config", "internal/bench", "internal/gctuner", "internal/loopback"},
			outside: []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/sync", "golang.org/x/term"},
			inFiles: map[string][]string{
				"internal/app":    {"serve", "quickstart", "bench", "backup", "check"},
				"internal/config": {"serve", "quickstart", "bench"},
				"internal/bench":  {"bench"},
			},
			why: "only serve, quickstart and bench run a hub, and backup, restore and check look into its folder; every other command is a plain user of the public SDKs",
		},
		{
			pkg: "internal/loopback", never: []string{"os", "database/sql"},
			why: "the SDKs carry it: it knows the names of this machine and nothing of hubs",
		},
		{
			pkg: "internal/gctuner", never: []string{"net", "os"},
			why: "it knows the runtime's garbage collector and nothing else",
		},
		{
			pkg: "internal/bench", ours: []string{"sas", "internal/loopback", "internal/mqttwire"}, outside: []string{"golang.org/x/sync"},
			why: "the load generator measures a hub from outside, through the wire",
		},
	}
}

func hubPackages() []rule {
	const front = "a front end translates between its wire and the hub: it knows no store and no other front end"
	const engine = "an engine keeps data behind a port of the hub: it knows no front end and no other engine"
	return []rule{
		{
			pkg: "internal/app",
			ours: []string{
				".", "sas", hubAPI, accessLeaf, "internal/config", "internal/hostname", "internal/obs",
				"internal/front/listen", "internal/front/mqttfront", "internal/front/amqpfront", "internal/front/restfront",
				"internal/front/adminfront", "internal/front/wsconn", "internal/front/httpserver",
				"internal/revocation", "internal/eventlog/pebblelog", "internal/eventlog/memlog", "internal/store/sqlstore", "internal/cluster/localcluster",
			},
			outside: []string{"golang.org/x/sync", "golang.org/x/sys", "github.com/prometheus/client_golang"},
			why:     "the composition root wires what others declare; rules belong to the hub",
		},
		{
			pkg: "internal/config", ours: []string{".", textLeaf, "internal/hostname"}, outside: []string{"github.com/pelletier/go-toml/v2"},
			why: "configuration ends in app, which passes plain values: it knows the nouns, and what text is",
		},
		{
			pkg: "internal/hostname", ours: []string{"sas"}, outside: []string{"golang.org/x/net/idna"}, never: []string{"net/http", "os", "context"},
			why: "the rule for host names is pure: it looks nothing up",
		},
		{
			pkg: "internal/front/listen", ours: []string{textLeaf}, outside: []string{"golang.org/x/sys"},
			why: "listeners and certificates know no protocol",
		},
		{pkg: "internal/revocation", never: []string{"net", "database/sql"}, why: "it reads files and knows certificates: whom to close a connection of, the hub knows"},
		{pkg: "internal/front/connset", never: []string{"net/http", "os"}, why: "it keeps connections of any kind and knows no protocol"},
		{pkg: "internal/mqttwire", never: []string{"net", "os", "context"}, why: "a codec turns bytes into packets: no net, no goroutines, no hub"},
		{pkg: "internal/amqpwire", never: []string{"net", "os", "context"}, why: "a codec turns bytes into values: no net, no hub; it would serve any AMQP program"},
		{pkg: "internal/sysprops", ours: []string{"."}, never: []string{"net", "os", "context"}, why: "the table of system properties names things: codecs and front ends look them up in it"},
		{pkg: "internal/pki", never: []string{"net", "os", "context"}, why: "certificates are made and read of bytes alone: clock and randomness are passed in, files are the caller's"},
		{pkg: textLeaf, never: []string{"net", "os", "context"}, why: "what text is, and what is none, is told of bytes alone: every door can ask"},
		{pkg: "internal/restwire", ours: []string{".", "internal/sysprops", textLeaf}, never: []string{"net", "os", "context"}, why: "a codec turns header lines and JSON into messages: no requests, no hub"},
		{pkg: "internal/front/mqttfront", ours: []string{".", "sas", "internal/mqttwire", "internal/front/connset", "internal/front/minrate", "internal/front/readbuf", "internal/front/unacked", "internal/front/errorbody", "internal/front/number", "internal/front/peer", "internal/sysprops", hubAPI, accessLeaf}, never: []string{"net/http", "database/sql"}, why: front},
		{pkg: "internal/front/restfront", ours: []string{".", "sas", "internal/restwire", "internal/front/httpserver", "internal/front/errorbody", "internal/front/peer", textLeaf, hubAPI, accessLeaf}, never: []string{"database/sql"}, why: front},
		{pkg: "internal/front/peer", ours: []string{accessLeaf}, never: []string{"net/http", "os"}, why: "where a connection comes from is told in the same way by every front end"},
		{pkg: "internal/front/unacked", never: []string{"net", "os", "context", "sync"}, why: "it counts what is to be acknowledged: no protocol, no log, and the lock is the front end's"},
		{pkg: "internal/front/httpserver", ours: []string{"internal/front/minrate"}, why: "it bounds requests, and knows nothing of what is served"},
		{pkg: "internal/front/minrate", never: []string{"net", "os", "context"}, why: "a rule about time and bytes, for every protocol"},
		{pkg: "internal/front/errorbody", ours: []string{"."}, never: []string{"net", "os", "context"}, why: "the JSON of an error is the same in every protocol, and knows none"},
		{pkg: "internal/front/number", never: []string{"net", "os", "context"}, why: "how clients print numbers has nothing to do with what the numbers are"},
		{pkg: "internal/front/readbuf", never: []string{"net", "os", "context"}, why: "a read buffer knows bytes and no protocol"},
		{
			pkg: "internal/front/amqpengine", ours: []string{"internal/amqpwire", "internal/front/connset", "internal/front/minrate", "internal/front/readbuf"}, never: []string{"net/http", "database/sql"},
			why: "the engine is a library that any AMQP server could use: it knows no hub",
		},
		{
			pkg: "internal/front/amqpfront", ours: []string{".", "sas", "internal/amqpwire", "internal/front/amqpengine", "internal/front/unacked", "internal/front/errorbody", "internal/front/number", "internal/front/peer", "internal/sysprops", hubAPI, accessLeaf, "internal/hub/eventcodec"},
			never: []string{"net/http", "database/sql"}, why: front,
		},
		{
			pkg: "internal/front/wsconn", ours: []string{"internal/front/connset"}, outside: []string{"github.com/coder/websocket"},
			why: "a WebSocket becomes a net.Conn here, and no protocol that travels in it is known",
		},
		{
			pkg: "internal/front/adminfront", outside: []string{"github.com/prometheus/client_golang"},
			why: "metrics, health and profiles are handed in as plain values: the operator's port reaches no device and no rule",
		},
		{
			pkg: hubAPI, ours: []string{".", "sas", "internal/hostname", "internal/pki", accessLeaf, queueLeaf, c2dLeaf, certLeaf, twinLeaf, "internal/hub/eventcodec"}, outside: []string{"golang.org/x/sync"},
			never: []string{"net", "database/sql"},
			why:   "the rules know no wire, no socket and no SQL: front ends and engines depend on the hub, never the other way",
		},
		{
			pkg: c2dLeaf, ours: []string{".", queueLeaf}, never: []string{"net", "os", "database/sql"},
			why: "queues of messages are edited in a store and handed to receivers: who these are, and on which node, the hub says",
		},
		{pkg: accessLeaf, ours: []string{".", "sas"}, never: []string{"net", "os"}, why: "who may do what is decided from what is passed in, nothing is looked up"},
		{pkg: twinLeaf, ours: []string{"."}, never: []string{"net", "os", "context"}, why: "the documents of a twin are pure: the clock is passed in"},
		{pkg: certLeaf, ours: []string{"."}, never: []string{"net", "os", "context"}, why: "requests for certificates are read and kept by rules that are pure: clock, ids and certificates are passed in"},
		{pkg: queueLeaf, ours: []string{"."}, never: []string{"net", "os", "context"}, why: "the rules of a queue are pure: clock, tokens and stored queue are passed in"},
		{pkg: "internal/hub/eventcodec", ours: []string{".", "internal/amqpwire", "internal/sysprops"}, never: []string{"net", "os"}, why: "an event is encoded once, as AMQP sections, and this leaf is the only part of the hub that knows them"},
		{pkg: groupCommit, ours: []string{".", hubAPI}, never: []string{"net", "os", "database/sql"}, why: "what all event logs share does no I/O: an engine is handed in as functions"},
		{
			pkg: "internal/eventlog/pebblelog", ours: []string{".", hubAPI, groupCommit}, outside: []string{"github.com/cockroachdb/pebble/v2"},
			never: []string{"net", "database/sql"}, why: engine,
		},
		{pkg: "internal/eventlog/memlog", ours: []string{hubAPI, groupCommit}, never: []string{"net", "os", "database/sql"}, why: engine},
		{pkg: "internal/cluster/localcluster", ours: []string{".", hubAPI}, never: []string{"net", "os", "database/sql"}, why: engine},
		{
			pkg: "internal/store/sqlstore", ours: []string{".", hubAPI, accessLeaf, queueLeaf, c2dLeaf, certLeaf, twinLeaf}, outside: []string{"github.com/klauspost/compress/s2", "modernc.org/sqlite"},
			never: []string{"net/http"}, why: engine,
		},
		{
			pkg: "internal/obs", ours: []string{".", hubAPI, accessLeaf, c2dLeaf}, outside: []string{"github.com/prometheus/client_golang"},
			why: "observation implements a port of the hub and is told what happens: it reaches for nothing itself",
		},
	}
}

func testPackages() []rule {
	const suite = "a conformance suite knows the ports only, so that every implementation can run it"
	return []rule{
		{pkg: "internal/logtest", ours: []string{".", hubAPI}, outside: []string{"github.com/google/go-cmp"}, why: suite},
		{pkg: "internal/storetest", ours: []string{".", hubAPI, accessLeaf, queueLeaf, c2dLeaf, certLeaf, twinLeaf}, outside: []string{"github.com/google/go-cmp"}, why: suite},
		{pkg: "internal/clustertest", ours: []string{".", hubAPI}, outside: []string{"github.com/google/go-cmp"}, why: suite},
		{pkg: "internal/testhub", ours: []string{".", "sas", accessLeaf, "internal/app", "internal/config"}, why: "a hub for tests is the real one, started by app"},
		{pkg: "internal/childhub", ours: []string{"sas"}, why: "a hub in a child process is told apart from our own code by nothing but its wire and its files"},
		{
			pkg: "internal/front/amqpengine/testnode", ours: []string{"internal/amqpwire", "internal/front/amqpengine"}, never: []string{"net/http", "database/sql"},
			why: "a node for tests is a program on the engine like any other",
		},
		{pkg: "internal/interop", why: "the suite drives foreign clients against the binary: its code is in test files"},
		{pkg: "internal/interop/sdktest", why: "the suite reads from a hub with a foreign client: its code is in test files"},
		{pkg: "internal/interop/soaktest", why: "the suite loads a hub with real clients and looks for what is left: its code is in test files"},
		{pkg: "internal/interop/eventreader", ours: []string{"internal/bench"}, outside: []string{eventHubs}, why: "what a reader costs is measured with a client that is not ours"},
		{pkg: "internal/interop/readevents", outside: []string{eventHubs}, why: "what a foreign client says is recorded, and nothing of ours says it"},
		{pkg: "internal/crashtest", why: "the suite kills the binary and reads what is left: its code is in test files"},
		{pkg: "internal/replaytest", why: "the suite replays what clients said to a hub that is put together for it: its code is in test files"},
		{pkg: "internal/archtest", why: "a rule keeper needs nobody"},
		{pkg: "internal/doctest", why: "the suite reads pages and compares them with the code: only what finds snippets, for other suites, is not in test files"},
	}
}
