-- Twins, and an outbox of batches.
--
-- The columns of a twin in devices (twin_etag, twin_version, desired_version, reported_version, tags, desired, reported) are
-- not used, and never were: to drop them would copy the table. model_id is used.
--
-- An identity without a row in twins or twin_reported has what nobody has written to: versions 1, documents {}. Documents are
-- canonical JSON, metadata is the hub's encoding, desired_changes the store's. Small columns come first, so that the others are not
-- read with them. What is written all the time has a table of its own.
--
-- Source: sqlite.org/fileformat2.html, overflow pages.

CREATE TABLE twins (
    id               INTEGER NOT NULL PRIMARY KEY,
    hub              TEXT    NOT NULL,
    device_id        TEXT    NOT NULL,
    module_id        TEXT    NOT NULL,
    etag             INTEGER NOT NULL, -- grows with each write of tags or desired properties
    desired_version  INTEGER NOT NULL,
    desired_size     INTEGER NOT NULL, -- by the arithmetic of the limits
    tags_size        INTEGER NOT NULL,
    desired_changes  BLOB    NOT NULL, -- the newest ones, encoded as the events in outbox: version, patch
    desired_metadata BLOB,
    desired          TEXT    NOT NULL,
    tags             TEXT    NOT NULL,
    UNIQUE (hub, device_id, module_id),
    FOREIGN KEY (hub, device_id, module_id) REFERENCES devices (hub, device_id, module_id) ON DELETE CASCADE
) STRICT;

CREATE TABLE twin_reported (
    id        INTEGER NOT NULL PRIMARY KEY,
    hub       TEXT    NOT NULL,
    device_id TEXT    NOT NULL,
    module_id TEXT    NOT NULL,
    version   INTEGER NOT NULL, -- grows with each write
    fence     INTEGER NOT NULL DEFAULT 0, -- of the newest connection that has written
    size      INTEGER NOT NULL, -- by the arithmetic of the limits
    metadata  BLOB,
    document  TEXT    NOT NULL,
    padding   BLOB,             -- keeps the row's size when the others change theirs
    UNIQUE (hub, device_id, module_id),
    FOREIGN KEY (hub, device_id, module_id) REFERENCES devices (hub, device_id, module_id) ON DELETE CASCADE
) STRICT;

-- Events that the hub tells of itself, until they are in its log: one row holds those of a transaction. They outlive the
-- identities that they tell of. An id is never given twice: who deletes what it has read may come late.
--
-- The encoding of events is the number 1, and for each event the device's id, the module's, its own, and its data. Each of
-- them comes behind its length in 7-bit groups, the lowest first, of which all but the last have the eighth bit set.
CREATE TABLE old_outbox AS SELECT * FROM outbox;
DROP TABLE outbox;
CREATE TABLE outbox (
    id     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, -- grows, so it is the order
    hub    TEXT    NOT NULL REFERENCES hubs (name) ON DELETE CASCADE,
    events BLOB    NOT NULL
) STRICT;
CREATE INDEX outbox_in_order ON outbox (hub, id);

INSERT INTO outbox (id, hub, events) SELECT id, hub, CAST(x'01'
        || length_of_device || device_id || length_of_module || module_id || length_of_event || event_id || length_of_data || data AS BLOB)
    FROM (SELECT o.*,
            unhex(printf('%02x%02x%02x%02x', (n1 & 127) | 128, ((n1 >> 7) & 127) | 128, ((n1 >> 14) & 127) | 128, n1 >> 21)) AS length_of_device,
            unhex(printf('%02x%02x%02x%02x', (n2 & 127) | 128, ((n2 >> 7) & 127) | 128, ((n2 >> 14) & 127) | 128, n2 >> 21)) AS length_of_module,
            unhex(printf('%02x%02x%02x%02x', (n3 & 127) | 128, ((n3 >> 7) & 127) | 128, ((n3 >> 14) & 127) | 128, n3 >> 21)) AS length_of_event,
            unhex(printf('%02x%02x%02x%02x', (n4 & 127) | 128, ((n4 >> 7) & 127) | 128, ((n4 >> 14) & 127) | 128, n4 >> 21)) AS length_of_data
        FROM (SELECT *, octet_length(device_id) AS n1, octet_length(module_id) AS n2, octet_length(event_id) AS n3, octet_length(data) AS n4
            FROM old_outbox) o)
    ORDER BY id;
DROP TABLE old_outbox;
