-- One row per log. The head is updated by every commit, so it stands alone.
CREATE TABLE log_head (
    log      integer PRIMARY KEY,          -- what the log is called in the other tables
    id       uuid    NOT NULL UNIQUE,
    term     bigint  NOT NULL,
    holder   uuid    NOT NULL,
    size     bigint  NOT NULL,
    last     bytea   NOT NULL,             -- leaf hash of the last record
    time     bigint  NOT NULL,             -- of the last record, in microseconds since 1970
    frontier bytea   NOT NULL              -- roots of the perfect subtrees, widest first
) WITH (fillfactor = 50);

-- Who holds a log and up to where it may be read. It has no write-ahead log on
-- purpose: it is empty after a crash and after a promotion.
CREATE UNLOGGED TABLE standing (
    log     integer     PRIMARY KEY,
    term    bigint      NOT NULL,
    holder  uuid        NOT NULL,
    address text        NOT NULL,
    until   timestamptz NOT NULL,          -- end of the lease
    known   boolean     NOT NULL,          -- whether the rest is published
    size    bigint      NOT NULL,
    root    bytea       NOT NULL,
    last    bytea       NOT NULL,
    time    bigint      NOT NULL
) WITH (fillfactor = 50);

-- The records. Digests are the first 16 bytes of the SHA-256 of the term by
-- which a record is found (its stream, type, actor).
CREATE TABLE record (
    position bigint  NOT NULL,
    version  bigint  NOT NULL,             -- within the stream
    log      integer NOT NULL,
    id       uuid    NOT NULL,             -- of the event
    stream   uuid    NOT NULL,
    type     uuid    NOT NULL,
    actor    uuid    NOT NULL,
    leaf     bytea   NOT NULL,             -- the bytes that are hashed
    PRIMARY KEY (log, position),
    UNIQUE (log, id),
    UNIQUE (log, stream, version)
);
CREATE INDEX record_type ON record (log, type, position);
CREATE INDEX record_actor ON record (log, actor, position);
ALTER TABLE record ALTER COLUMN leaf SET STORAGE EXTERNAL;

-- No leaf is ever changed, by nobody.
CREATE FUNCTION record_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'records are never changed or deleted' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER record_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON record
    FOR EACH STATEMENT EXECUTE FUNCTION record_is_kept();

-- By what else a record is found: public tags, and subjects of its blocks.
CREATE TABLE posting (
    position bigint  NOT NULL,
    log      integer NOT NULL,
    term     uuid    NOT NULL,
    PRIMARY KEY (log, term, position)
);

-- Blind tags: as posting, but these are erased, and what held them is written
-- anew: so they stand in eight tables, by the first digit of the term, which is
-- from 8 on for blind tags.
CREATE TABLE blind (
    position bigint  NOT NULL,
    log      integer NOT NULL,
    term     uuid    NOT NULL,
    PRIMARY KEY (log, term, position)
) PARTITION BY RANGE (term);
DO $$
DECLARE
    rest CONSTANT text := '0000000-0000-0000-0000-000000000000';
BEGIN
    FOR n IN 8..15 LOOP
        EXECUTE format('CREATE TABLE blind_%s PARTITION OF blind FOR VALUES FROM (%s) TO (%s)', to_hex(n),
            CASE n WHEN 8 THEN 'MINVALUE' ELSE quote_literal(to_hex(n) || rest) END,
            CASE n WHEN 15 THEN 'MAXVALUE' ELSE quote_literal(to_hex(n + 1) || rest) END);
        -- What is to be erased must stand in no statistics.
        EXECUTE format('ALTER TABLE blind_%s ALTER COLUMN term SET STATISTICS 0', to_hex(n));
    END LOOP;
END $$;
ALTER TABLE blind ALTER COLUMN term SET STATISTICS 0;

-- Which tables still hold bytes that were deleted, and of whom: they are to be
-- written anew.
CREATE TABLE scrub (
    name    text NOT NULL,
    subject uuid NOT NULL,
    PRIMARY KEY (name, subject)
);

CREATE TABLE outcome (
    first   bigint  NOT NULL,
    final   bigint  NOT NULL,
    log     integer NOT NULL,
    command uuid    NOT NULL,
    actor   uuid    NOT NULL,
    kind    text    NOT NULL,              -- of the actor
    digest  bytea   NOT NULL,              -- of the request
    PRIMARY KEY (log, command, actor, kind)
);

CREATE TABLE subject (
    log     integer NOT NULL,
    subject uuid    NOT NULL,
    key     uuid    NOT NULL,              -- zero if it never had one
    erased  boolean NOT NULL,
    PRIMARY KEY (log, subject)
);

CREATE TABLE key (
    log     integer NOT NULL,
    key     uuid    NOT NULL,
    subject uuid    NOT NULL,
    erased  boolean NOT NULL,
    PRIMARY KEY (log, key)
);

CREATE TABLE tile (
    log   integer  NOT NULL,
    level smallint NOT NULL,
    index bigint   NOT NULL,
    data  bytea    NOT NULL,               -- 256 hashes
    PRIMARY KEY (log, level, index)
);
ALTER TABLE tile ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE checkpoint (
    log  integer NOT NULL,
    size bigint  NOT NULL,
    note bytea   NOT NULL,
    PRIMARY KEY (log, size)
);

CREATE TABLE cursor (
    log   integer NOT NULL,
    name  text    NOT NULL,
    value bytea   NOT NULL,
    PRIMARY KEY (log, name)
);

-- The nodes that are there, and up to where each has forgotten what was erased.
CREATE TABLE node (
    log       integer     NOT NULL,
    node      uuid        NOT NULL,
    forgotten bigint      NOT NULL,
    until     timestamptz NOT NULL,
    PRIMARY KEY (log, node)
);
