-- One row that counts the starts of processes. What one process has claimed is void in the next: numbers of claims begin
-- with that of the start.

CREATE TABLE epoch (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL -- of the newest start; 0: none
) STRICT;
INSERT INTO epoch (id, number) VALUES (1, 0);
