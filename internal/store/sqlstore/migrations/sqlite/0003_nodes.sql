-- Many writers: versions of hubs, host names that the database keeps unique, fences of claims. Modules, the hub's own
-- events, notifications of more than one kind, sessions of more than one protocol.
--
-- A fence orders the claims of an identity's live link; it stays below 2^63. 0: none is known.
--
-- Most tables are made anew, by way of copies. To alter them one by one would cost ten times as much in a new
-- store, and new columns would stand behind the twin documents, so that reading them would read those.
--
-- Source: sqlite.org/lang_altertable.html; sqlite.org/fileformat2.html, overflow pages.

ALTER TABLE hubs ADD COLUMN version INTEGER NOT NULL DEFAULT 1; -- grows with each change
CREATE UNIQUE INDEX hubs_by_name ON hubs (lower(name));

-- What leads to which hub; the order of a hub's names is in hubs.host_names.
CREATE TABLE hub_hosts (
    host TEXT NOT NULL PRIMARY KEY,
    hub  TEXT NOT NULL REFERENCES hubs (name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX hub_hosts_by_hub ON hub_hosts (hub);
INSERT OR IGNORE INTO hub_hosts (host, hub)
    SELECT e.value, h.name FROM hubs h, json_each(h.host_names) e ORDER BY coalesce(h.created, 0), h.name;

CREATE TABLE old_policies AS SELECT * FROM policies;
CREATE TABLE old_devices AS SELECT * FROM devices;
CREATE TABLE old_sessions AS SELECT * FROM mqtt_sessions;
CREATE TABLE old_queues AS SELECT * FROM c2d_queues;
CREATE TABLE old_messages AS SELECT * FROM c2d_messages;
CREATE TABLE old_contents AS SELECT * FROM c2d_contents;
CREATE TABLE old_batches AS SELECT * FROM feedback_batches;
CREATE TABLE old_records AS SELECT * FROM feedback_records;
DROP TABLE feedback_records;
DROP TABLE feedback_batches;
DROP TABLE c2d_contents;
DROP TABLE c2d_messages;
DROP TABLE c2d_queues;
DROP TABLE mqtt_sessions;
DROP TABLE devices;
DROP TABLE policies;

CREATE TABLE policies (
    hub           TEXT    NOT NULL REFERENCES hubs (name) ON DELETE CASCADE,
    name          TEXT    NOT NULL,
    position      INTEGER NOT NULL, -- order within the hub
    permissions   INTEGER NOT NULL, -- bits
    primary_key   TEXT    NOT NULL,
    secondary_key TEXT    NOT NULL,
    PRIMARY KEY (hub, name)
) STRICT;
INSERT INTO policies (hub, name, position, permissions, primary_key, secondary_key)
    SELECT hub, name, position, rights, primary_key, secondary_key FROM old_policies;

-- Devices have module_id ''. The long twin documents come last, so that reading an identity does not read them.
CREATE TABLE devices (
    hub                      TEXT    NOT NULL REFERENCES hubs (name) ON DELETE CASCADE,
    device_id                TEXT    NOT NULL,
    module_id                TEXT    NOT NULL,
    managed_by               TEXT    NOT NULL, -- who manages a module; '': nobody
    etag                     TEXT    NOT NULL,
    generation_id            TEXT    NOT NULL,
    status                   TEXT    NOT NULL,
    status_reason            TEXT,
    status_updated           INTEGER,
    connection_fence         INTEGER NOT NULL DEFAULT 0, -- of the newest claim that is known
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
INSERT INTO devices (hub, device_id, module_id, managed_by, etag, generation_id, status, status_reason, status_updated,
        connection_state, connection_state_updated, last_activity,
        auth_type, primary_key, secondary_key, primary_thumbprint, secondary_thumbprint,
        iot_edge, device_scope, parent_scopes, model_id,
        twin_etag, twin_version, desired_version, reported_version, tags, desired, reported)
    SELECT hub, device_id, module_id, '', etag, generation_id, status, status_reason, status_updated,
        connection_state, connection_state_updated, last_activity,
        auth_type, primary_key, secondary_key, primary_thumbprint, secondary_thumbprint,
        iot_edge, device_scope, parent_scopes, model_id,
        twin_etag, twin_version, desired_version, reported_version, tags, desired, reported
    FROM old_devices;

-- Counting a hub's devices, and paging over the connected identities, without reading every row. No partial index may say
-- which module_id: SQLite would compile a join that binds one anew each time it is run.
CREATE INDEX devices_by_status ON devices (hub, module_id, status);
CREATE INDEX devices_connected ON devices (hub, device_id, module_id) WHERE connection_state = 'Connected';

-- What is in a state, front ends know. A row without one says that the session has ended, and by which claim.
CREATE TABLE sessions (
    hub       TEXT    NOT NULL,
    device_id TEXT    NOT NULL,
    module_id TEXT    NOT NULL,
    fence     INTEGER NOT NULL, -- of the claim that stored the row
    updated   INTEGER NOT NULL,
    state     BLOB,             -- NULL: there is no session
    PRIMARY KEY (hub, device_id, module_id),
    FOREIGN KEY (hub, device_id, module_id) REFERENCES devices (hub, device_id, module_id) ON DELETE CASCADE
) STRICT;
INSERT INTO sessions (hub, device_id, module_id, fence, updated, state)
    SELECT hub, device_id, module_id, 0, updated, CAST(subscriptions AS BLOB) FROM old_sessions;

-- An identity has a row from its first message on, which outlives the messages: numbers are not used again. A receiver is
-- the fence of a claim and a number within it; 0 and 0: none, or a device that polls.
CREATE TABLE c2d_queues (
    hub             TEXT    NOT NULL,
    device_id       TEXT    NOT NULL,
    module_id       TEXT    NOT NULL,
    next_sequence   INTEGER NOT NULL,
    pending         INTEGER NOT NULL, -- rows of c2d_messages
    due             INTEGER,          -- the first end of a lock or expiry; NULL: none
    newest_fence    INTEGER NOT NULL, -- the newest receiver that has locked messages
    newest_receiver INTEGER NOT NULL,
    PRIMARY KEY (hub, device_id, module_id),
    FOREIGN KEY (hub, device_id, module_id) REFERENCES devices (hub, device_id, module_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX c2d_queues_due ON c2d_queues (due) WHERE due IS NOT NULL;

-- Locking, settling and expiry read and write these rows only, never the contents.
CREATE TABLE c2d_messages (
    id             INTEGER NOT NULL PRIMARY KEY,
    hub            TEXT    NOT NULL,
    device_id      TEXT    NOT NULL,
    module_id      TEXT    NOT NULL,
    sequence       INTEGER NOT NULL,
    message_id     TEXT    NOT NULL,
    ack            TEXT    NOT NULL,
    enqueued       INTEGER NOT NULL,
    expires        INTEGER NOT NULL,
    delivery_count INTEGER NOT NULL,
    handed_out     INTEGER NOT NULL,
    lock_token     TEXT    NOT NULL, -- '': not locked
    lock_until     INTEGER,
    lock_fence     INTEGER NOT NULL, -- the receiver whose lock it is
    lock_receiver  INTEGER NOT NULL,
    UNIQUE (hub, device_id, module_id, sequence),
    FOREIGN KEY (hub, device_id, module_id) REFERENCES c2d_queues (hub, device_id, module_id) ON DELETE CASCADE
) STRICT;

CREATE TABLE c2d_contents (
    id      INTEGER NOT NULL PRIMARY KEY REFERENCES c2d_messages (id) ON DELETE CASCADE,
    content BLOB    NOT NULL -- the hub's encoding
) STRICT;

-- The connections that held locks until now are gone, so their messages are free; devices that poll keep theirs.
UPDATE old_messages SET lock_token = '', lock_until = NULL WHERE lock_holder <> '';
INSERT INTO c2d_queues (hub, device_id, module_id, next_sequence, pending, due, newest_fence, newest_receiver)
    SELECT hub, device_id, module_id, next_sequence, pending, NULL, 0, 0 FROM old_queues;
INSERT INTO c2d_messages (id, hub, device_id, module_id, sequence, message_id, ack, enqueued, expires, delivery_count,
        handed_out, lock_token, lock_until, lock_fence, lock_receiver)
    SELECT id, hub, device_id, module_id, sequence, message_id, ack, enqueued, expires, delivery_count,
        handed_out, lock_token, lock_until, 0, 0
    FROM old_messages;
INSERT INTO c2d_contents (id, content) SELECT id, content FROM old_contents;
UPDATE c2d_queues SET due = (
    SELECT min(CASE WHEN m.lock_token = '' THEN m.expires ELSE m.lock_until END) FROM c2d_messages m
    WHERE m.hub = c2d_queues.hub AND m.device_id = c2d_queues.device_id AND m.module_id = c2d_queues.module_id);

-- What waits for a hub's back ends. Batches of feedback are one kind of it.
CREATE TABLE notifications (
    id              INTEGER NOT NULL PRIMARY KEY, -- grows, so it is the order
    hub             TEXT    NOT NULL REFERENCES hubs (name) ON DELETE CASCADE,
    kind            TEXT    NOT NULL,
    notification_id TEXT    NOT NULL,
    enqueued        INTEGER NOT NULL,
    expires         INTEGER NOT NULL,
    delivery_count  INTEGER NOT NULL,
    lock_token      TEXT    NOT NULL, -- '': not locked
    lock_until      INTEGER NOT NULL, -- 0: not locked
    content         BLOB              -- NULL: it holds feedback_records
) STRICT;
CREATE INDEX notifications_in_order ON notifications (hub, kind, id);
CREATE INDEX notifications_locked ON notifications (hub, kind, lock_token) WHERE lock_token <> '';
CREATE INDEX notifications_expiry ON notifications (expires);
INSERT INTO notifications (id, hub, kind, notification_id, enqueued, expires, delivery_count, lock_token, lock_until)
    SELECT id, hub, 'feedback', batch_id, enqueued, expires, delivery_count, lock_token, lock_until FROM old_batches;

CREATE TABLE feedback_records (
    id            INTEGER NOT NULL PRIMARY KEY, -- grows, so it is the order
    hub           TEXT    NOT NULL,
    device_id     TEXT    NOT NULL,
    module_id     TEXT    NOT NULL,
    generation_id TEXT    NOT NULL,
    message_id    TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    at            INTEGER NOT NULL,
    notification  INTEGER REFERENCES notifications (id) ON DELETE CASCADE, -- NULL: in none yet
    FOREIGN KEY (hub, device_id, module_id) REFERENCES devices (hub, device_id, module_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX feedback_records_waiting ON feedback_records (hub, id) WHERE notification IS NULL;
CREATE INDEX feedback_records_by_notification ON feedback_records (notification, id) WHERE notification IS NOT NULL;
CREATE INDEX feedback_records_by_identity ON feedback_records (hub, device_id, module_id);
INSERT INTO feedback_records (id, hub, device_id, module_id, generation_id, message_id, status, at, notification)
    SELECT id, hub, device_id, module_id, generation_id, message_id, status, at, batch FROM old_records;

-- Events that the hub tells of itself, until they are in its log. They outlive the identity that they tell of.
CREATE TABLE outbox (
    id        INTEGER NOT NULL PRIMARY KEY, -- grows, so it is the order
    hub       TEXT    NOT NULL REFERENCES hubs (name) ON DELETE CASCADE,
    device_id TEXT    NOT NULL,
    module_id TEXT    NOT NULL,
    event_id  TEXT    NOT NULL,
    data      BLOB    NOT NULL -- the hub's encoding
) STRICT;
CREATE INDEX outbox_in_order ON outbox (hub, id);
CREATE INDEX outbox_by_event ON outbox (hub, event_id);

DROP TABLE old_policies;
DROP TABLE old_devices;
DROP TABLE old_sessions;
DROP TABLE old_queues;
DROP TABLE old_messages;
DROP TABLE old_contents;
DROP TABLE old_batches;
DROP TABLE old_records;
