-- What the logs of documents begin with that have let go of entries. In stores of schema version 2 and above.
CREATE TABLE snapshots (
    document INTEGER PRIMARY KEY, -- documents.number
    id       BLOB NOT NULL,     -- 16 bytes
    space    BLOB NOT NULL,     -- 16 bytes
    bytes    INTEGER NOT NULL,  -- size of the whole
    version  BLOB NOT NULL,     -- heads and vector clock: what it stands for
    base     BLOB NOT NULL,     -- position and vector clock: up to where nothing else is held
    checksum INTEGER NOT NULL   -- CRC32 of all of the above but the number
);

-- A snapshot in parts, so that some of it can be read without the rest.
CREATE TABLE snapshot_parts (
    document INTEGER NOT NULL,  -- documents.number
    start    INTEGER NOT NULL,  -- the part's first byte
    part     BLOB NOT NULL,
    checksum INTEGER NOT NULL,  -- CRC32 of documents.id, the first byte and the part
    PRIMARY KEY (document, start)
) WITHOUT ROWID;
