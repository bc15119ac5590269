-- Who comes in by certificates, and what a hub lets in: JSON, the store's own.
ALTER TABLE hubs ADD COLUMN switches TEXT NOT NULL DEFAULT '{}';
ALTER TABLE hubs ADD COLUMN authorities TEXT NOT NULL DEFAULT '[]';
ALTER TABLE hubs ADD COLUMN issuing TEXT NOT NULL DEFAULT '{}';

-- What a device asked for last, until it has it: one request for each device.
CREATE TABLE certificate_requests (
    hub       TEXT NOT NULL,
    device_id TEXT NOT NULL,
    module_id TEXT NOT NULL DEFAULT '', -- always empty: modules ask for nothing
    request   TEXT NOT NULL,            -- JSON
    PRIMARY KEY (hub, device_id, module_id),
    FOREIGN KEY (hub, device_id, module_id) REFERENCES devices (hub, device_id, module_id) ON DELETE CASCADE
) STRICT;

-- The keys of TLS session tickets, which nodes share: sealed with what only they know.
CREATE TABLE ticket_keys (
    id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    created INTEGER NOT NULL, -- ticks
    sealed  BLOB    NOT NULL
) STRICT;
