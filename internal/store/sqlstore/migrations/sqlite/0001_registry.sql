-- The registry: hubs, their policies, identities with their twins, and stored MQTT sessions.
--
-- Times are BIGINT-sized counts of 100 ns since 1970-01-01 UTC, NULL meaning never: what the wire shows, exactly.
-- Every row of a hub begins with the hub, and goes with it.

-- "Hbwd": tells this program's files from other people's.
PRAGMA application_id = 1214412644;

CREATE TABLE schema_migrations (
    version INTEGER NOT NULL PRIMARY KEY,
    name    TEXT    NOT NULL,
    applied INTEGER NOT NULL
) STRICT;

-- One row that the readiness probe changes.
CREATE TABLE probe (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    writes INTEGER NOT NULL
) STRICT;
INSERT INTO probe (id, writes) VALUES (1, 0);

CREATE TABLE hubs (
    name            TEXT    NOT NULL PRIMARY KEY,
    host_names      TEXT    NOT NULL, -- JSON array
    partitions      INTEGER NOT NULL,
    retention_ns    INTEGER NOT NULL,
    consumer_groups TEXT    NOT NULL, -- JSON array
    created         INTEGER
) STRICT;

CREATE TABLE policies (
    hub           TEXT    NOT NULL REFERENCES hubs (name) ON DELETE CASCADE,
    name          TEXT    NOT NULL,
    position      INTEGER NOT NULL, -- order within the hub
    rights        INTEGER NOT NULL, -- bits
    primary_key   TEXT    NOT NULL,
    secondary_key TEXT    NOT NULL,
    PRIMARY KEY (hub, name)
) STRICT;

-- Devices have module_id ''. The long twin documents come last, so that reading an identity does not read them.
CREATE TABLE devices (
    hub                      TEXT    NOT NULL REFERENCES hubs (name) ON DELETE CASCADE,
    device_id                TEXT    NOT NULL,
    module_id                TEXT    NOT NULL DEFAULT '',
    etag                     TEXT    NOT NULL,
    generation_id            TEXT    NOT NULL,
    status                   TEXT    NOT NULL,
    status_reason            TEXT,
    status_updated           INTEGER,
    connection_state         TEXT    NOT NULL,
    connection_state_updated INTEGER,
    last_activity            INTEGER,
    auth_type                TEXT, -- NULL: the identity has no authentication
    primary_key              TEXT,
    secondary_key            TEXT,
    primary_thumbprint       TEXT,
    secondary_thumbprint     TEXT,
    iot_edge                 INTEGER NOT NULL,
    device_scope             TEXT    NOT NULL,
    parent_scopes            TEXT    NOT NULL, -- JSON array
    model_id                 TEXT    NOT NULL DEFAULT '',
    twin_etag                INTEGER NOT NULL DEFAULT 1,
    twin_version             INTEGER NOT NULL DEFAULT 2,
    desired_version          INTEGER NOT NULL DEFAULT 1,
    reported_version         INTEGER NOT NULL DEFAULT 1,
    tags                     TEXT    NOT NULL DEFAULT '{}',
    desired                  TEXT    NOT NULL DEFAULT '{}',
    reported                 TEXT    NOT NULL DEFAULT '{}',
    PRIMARY KEY (hub, device_id, module_id)
) STRICT;

-- Counting a hub's devices, and finding the connected ones, without reading every row.
CREATE INDEX devices_by_status ON devices (hub, status) WHERE module_id = '';
CREATE INDEX devices_connected ON devices (hub) WHERE connection_state = 'Connected';

CREATE TABLE mqtt_sessions (
    hub           TEXT    NOT NULL,
    device_id     TEXT    NOT NULL,
    module_id     TEXT    NOT NULL DEFAULT '',
    subscriptions TEXT    NOT NULL, -- JSON array of {"filter", "qos"}
    updated       INTEGER NOT NULL,
    PRIMARY KEY (hub, device_id, module_id),
    FOREIGN KEY (hub, device_id, module_id) REFERENCES devices (hub, device_id, module_id) ON DELETE CASCADE
) STRICT;
