-- A Driftline store. docs/storage.md explains it; any SQLite tool may read it while the relay runs.

CREATE TABLE store (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- One row a document. The number of a document is never used again.
CREATE TABLE documents (
    number   INTEGER PRIMARY KEY,
    id       BLOB NOT NULL,     -- 16 bytes
    space    BLOB NOT NULL,     -- 16 bytes
    end      INTEGER NOT NULL,  -- position of the last entry
    bytes    INTEGER NOT NULL,  -- payload in the log
    version  BLOB NOT NULL,     -- heads and vector clock
    checksum INTEGER NOT NULL,  -- CRC32 of all but the number
    base     INTEGER NOT NULL DEFAULT 0 -- the last position that is not held as an entry, only in the snapshot
);
CREATE INDEX documents_by_id ON documents (id);

-- Documents set aside: their rows and entries stay where they are, and are no longer held.
CREATE TABLE quarantined (
    number INTEGER PRIMARY KEY, -- documents.number
    id     BLOB NOT NULL,
    since  INTEGER NOT NULL,    -- seconds since the Unix epoch
    reason TEXT NOT NULL
);

CREATE TABLE actors (
    number INTEGER PRIMARY KEY,
    id     BLOB NOT NULL UNIQUE
);

CREATE TABLE entries (
    document INTEGER NOT NULL,  -- documents.number
    position INTEGER NOT NULL,  -- from 1, without gaps
    actor    INTEGER NOT NULL,  -- actors.number
    seq      INTEGER NOT NULL,
    hash     INTEGER NOT NULL,  -- the first 8 bytes of the hash, little endian
    record   BLOB NOT NULL,     -- the whole entry and its checksum
    PRIMARY KEY (document, position)
) WITHOUT ROWID;
CREATE UNIQUE INDEX entries_by_actor ON entries (document, actor, seq);
-- Hashes fall anywhere. Keeping 4,096 positions together makes new ones fall into few pages; a look-up asks each stretch.
CREATE INDEX entries_by_hash ON entries (document, position >> 12, hash);

CREATE TABLE meta (
    name     TEXT PRIMARY KEY,
    value    BLOB NOT NULL,
    checksum INTEGER NOT NULL   -- CRC32 of the value
) WITHOUT ROWID;
