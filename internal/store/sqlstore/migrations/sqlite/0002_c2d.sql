-- Cloud-to-device messages and their feedback.
--
-- Everything goes with its identity: a queue, what waits in it, and feedback that nobody has read yet.

-- Settings of cloud-to-device messages, JSON; a member that is absent has its default.
ALTER TABLE hubs ADD COLUMN c2d TEXT NOT NULL DEFAULT '{}';

-- A device has a row from its first message on, which outlives the messages: numbers are not used again.
CREATE TABLE c2d_queues (
    hub           TEXT    NOT NULL,
    device_id     TEXT    NOT NULL,
    module_id     TEXT    NOT NULL DEFAULT '',
    next_sequence INTEGER NOT NULL,
    pending       INTEGER NOT NULL, -- rows of c2d_messages
    due           INTEGER,          -- the first end of a lock or expiry; NULL: none
    PRIMARY KEY (hub, device_id, module_id),
    FOREIGN KEY (hub, device_id, module_id) REFERENCES devices (hub, device_id, module_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX c2d_queues_due ON c2d_queues (due) WHERE due IS NOT NULL;

-- Locking, settling and expiry read and write these rows only, never the contents.
CREATE TABLE c2d_messages (
    id             INTEGER NOT NULL PRIMARY KEY,
    hub            TEXT    NOT NULL,
    device_id      TEXT    NOT NULL,
    module_id      TEXT    NOT NULL DEFAULT '',
    sequence       INTEGER NOT NULL,
    message_id     TEXT    NOT NULL,
    ack            TEXT    NOT NULL,
    enqueued       INTEGER NOT NULL,
    expires        INTEGER NOT NULL,
    delivery_count INTEGER NOT NULL,
    handed_out     INTEGER NOT NULL,
    lock_token     TEXT    NOT NULL, -- '': not locked
    lock_until     INTEGER,
    lock_holder    TEXT    NOT NULL,
    UNIQUE (hub, device_id, module_id, sequence),
    FOREIGN KEY (hub, device_id, module_id) REFERENCES c2d_queues (hub, device_id, module_id) ON DELETE CASCADE
) STRICT;

CREATE TABLE c2d_contents (
    id      INTEGER NOT NULL PRIMARY KEY REFERENCES c2d_messages (id) ON DELETE CASCADE,
    content BLOB    NOT NULL -- the hub's encoding
) STRICT;

CREATE TABLE feedback_batches (
    id             INTEGER NOT NULL PRIMARY KEY, -- grows, so it is the order
    hub            TEXT    NOT NULL REFERENCES hubs (name) ON DELETE CASCADE,
    batch_id       TEXT    NOT NULL,
    enqueued       INTEGER NOT NULL,
    expires        INTEGER NOT NULL,
    delivery_count INTEGER NOT NULL,
    lock_token     TEXT    NOT NULL, -- '': not locked
    lock_until     INTEGER NOT NULL  -- 0: not locked
) STRICT;
CREATE INDEX feedback_batches_by_hub ON feedback_batches (hub, id);
CREATE INDEX feedback_batches_locked ON feedback_batches (hub, lock_token) WHERE lock_token <> '';
CREATE INDEX feedback_batches_expiry ON feedback_batches (expires);

CREATE TABLE feedback_records (
    id            INTEGER NOT NULL PRIMARY KEY, -- grows, so it is the order
    hub           TEXT    NOT NULL,
    device_id     TEXT    NOT NULL,
    module_id     TEXT    NOT NULL DEFAULT '',
    generation_id TEXT    NOT NULL,
    message_id    TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    at            INTEGER NOT NULL,
    batch         INTEGER REFERENCES feedback_batches (id) ON DELETE CASCADE, -- NULL: in none yet
    FOREIGN KEY (hub, device_id, module_id) REFERENCES devices (hub, device_id, module_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX feedback_records_waiting ON feedback_records (hub, id) WHERE batch IS NULL;
CREATE INDEX feedback_records_by_batch ON feedback_records (batch, id) WHERE batch IS NOT NULL;
CREATE INDEX feedback_records_by_device ON feedback_records (hub, device_id, module_id);
