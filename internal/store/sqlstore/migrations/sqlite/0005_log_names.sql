-- What ties a registry to its telemetry log: which names in the log are whose, and which log it is.

-- The name of the hub in the log; '': its own. One that is made anew under an old name has another.
ALTER TABLE hubs ADD COLUMN log_name TEXT NOT NULL DEFAULT '';

-- Names of hubs that were deleted, as long as there may be events of theirs in the log.
CREATE TABLE deleted_logs (
    name    TEXT    NOT NULL PRIMARY KEY,
    deleted INTEGER NOT NULL
) STRICT;

-- One row. A log that belongs to this registry holds its id, and the number of the last start that has opened both.
CREATE TABLE registry (
    one    INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    id     TEXT    NOT NULL,
    opened INTEGER NOT NULL -- number of the last start that is in the log, too; 0: none
) STRICT;
INSERT INTO registry (one, id, opened) VALUES (1, lower(hex(randomblob(16))), 0);
