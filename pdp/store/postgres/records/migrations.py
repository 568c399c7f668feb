"""The migrations of the log of decision records in PostgreSQL.

`pdp.store.postgres.migrations` has the rules. A log may have terabytes: a migration must not read
or rewrite its records or batches.
"""

from __future__ import annotations

from typing import Final

from pdp.store.postgres.migrations import Migration
from pdp.store.postgres.records.positions import (
    BATCH_BITS,
    DAYS_LOCK,
    LOCK_BITS,
    LOCK_TAG,
    PLACE_BITS,
    ROLLOVER_LOCK,
)
from pdp.store.postgres.schema import SchemaPlace

PLACE: Final = SchemaPlace("pdp_audit", "log", 0x50445032)
"""A schema of its own, so that a role can be allowed the policies but not the records."""

_TABLES: Final = f"""
CREATE SCHEMA IF NOT EXISTS {PLACE.schema};
SET LOCAL search_path TO {PLACE.schema};

CREATE TABLE log (
    schema_version  integer NOT NULL,
    oldest_schema   integer NOT NULL,
    key_id          text,            -- of the key of the hash chains; NULL until the first start
    counted_through bigint NOT NULL  -- the last record that holdings include
);
INSERT INTO log VALUES (0, 0, NULL, 0);

-- The high bits are the day.
CREATE SEQUENCE positions MINVALUE 0 START 0;

-- Each is written by one process only, so no append waits for another one.
CREATE TABLE chains (
    chain      bigint PRIMARY KEY, -- the position of its first batch
    replica    text COLLATE "C" NOT NULL,
    public_key bytea NOT NULL,
    batches    bigint NOT NULL,
    records    bigint NOT NULL,
    bytes      bigint NOT NULL,    -- of its records; approximately what they need
    hash       bytea NOT NULL,     -- of its last batch
    signature  bytea NOT NULL      -- of its head
) WITH (fillfactor = 50);

CREATE TABLE batches (
    position bigint NOT NULL PRIMARY KEY,
    chain    bigint NOT NULL,
    number   bigint NOT NULL, -- in its chain, from 1
    records  bigint NOT NULL,
    at       bigint NOT NULL, -- microseconds since the epoch
    note     text COLLATE "C" NOT NULL,
    previous bytea NOT NULL,
    hash     bytea NOT NULL
) PARTITION BY RANGE (position);
CREATE INDEX batches_of_chain ON batches (chain, position);
CREATE INDEX notes ON batches (position) WHERE note <> '';

CREATE TABLE records (
    sequence     bigint NOT NULL PRIMARY KEY,
    tenant_id    text COLLATE "C",
    decision_id  text COLLATE "C",
    time         double precision,
    outcome      text COLLATE "C",
    risk_level   text COLLATE "C",
    user_id      text COLLATE "C",
    agent_id     text COLLATE "C",
    customer_id  text COLLATE "C",
    provider     text COLLATE "C",
    model        text COLLATE "C",
    action       text COLLATE "C",
    reason_code  text COLLATE "C",
    request_id   text COLLATE "C",
    pii_detected boolean,
    body         text COLLATE "C" NOT NULL -- JSON
) PARTITION BY RANGE (sequence);
CREATE INDEX records_of_tenant ON records (tenant_id, sequence);
CREATE INDEX records_by_id ON records (tenant_id, decision_id);
CREATE INDEX records_by_request ON records (tenant_id, request_id, sequence)
    WHERE request_id <> '';
CREATE INDEX records_of_user ON records (tenant_id, user_id, sequence) WHERE user_id <> '';
CREATE INDEX records_by_outcome ON records (tenant_id, outcome, sequence);

-- The policies that matched in a record.
CREATE TABLE matches (
    tenant_id text COLLATE "C" NOT NULL,
    policy_id text COLLATE "C" NOT NULL,
    sequence  bigint NOT NULL,
    PRIMARY KEY (tenant_id, policy_id, sequence)
) PARTITION BY RANGE (sequence);

-- The hashes in place of removed records.
CREATE TABLE nodes (
    sequence bigint NOT NULL PRIMARY KEY, -- of the first record below a node of a batch's tree
    level    integer NOT NULL,
    hash     bytea NOT NULL
) PARTITION BY RANGE (sequence);

-- What the tenants hold of each day. Appends do not write it: maintenance counts new records.
CREATE TABLE holdings (
    day           bigint NOT NULL,
    tenant_id     text COLLATE "C" NOT NULL,
    bytes         bigint NOT NULL, -- approximately; of the records up to counted_through
    records       bigint NOT NULL, -- how many these are
    removed_bytes bigint NOT NULL, -- of records that were removed one by one
    PRIMARY KEY (day, tenant_id)
);

CREATE TABLE decision_counts (
    tenant_id text COLLATE "C" NOT NULL,
    at        bigint NOT NULL, -- where a minute or an hour begins, in seconds
    width     bigint NOT NULL, -- 60 or 3600
    level     text COLLATE "C" NOT NULL,
    outcome   text COLLATE "C" NOT NULL,
    recorded  integer NOT NULL,
    decisions bigint NOT NULL,
    PRIMARY KEY (tenant_id, at, width, level, outcome, recorded)
);
CREATE INDEX counts_by_time ON decision_counts (at);
CREATE TABLE progress (name text PRIMARY KEY, value bigint NOT NULL);
INSERT INTO progress VALUES ('counted_from', 0);
"""  # noqa: S608 - constants

_DRAW: Final = f"""
-- Takes the next position; see `pdp.store.postgres.records.positions`.
CREATE FUNCTION draw(OUT drawn bigint, OUT at bigint) LANGUAGE plpgsql AS $$
DECLARE
    day_begin bigint;
    newest bigint;
BEGIN
    at := extract(epoch FROM clock_timestamp()) * 1000000;
    day_begin := (at / 86400000000) << {BATCH_BITS};
    SELECT last_value INTO newest FROM {PLACE.schema}.positions;
    IF newest < day_begin THEN
        PERFORM pg_advisory_lock({ROLLOVER_LOCK});
        SELECT last_value INTO newest FROM {PLACE.schema}.positions;
        IF newest < day_begin THEN
            newest := setval('{PLACE.schema}.positions', day_begin);
        END IF;
        PERFORM pg_advisory_unlock({ROLLOVER_LOCK});
    END IF;
    PERFORM pg_advisory_xact_lock_shared(({LOCK_TAG}::bigint << {LOCK_BITS}) | newest);
    drawn := nextval('{PLACE.schema}.positions');
END $$;

-- Returns the position up to which nothing can appear any more.
CREATE FUNCTION horizon() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    newest bigint;
    lowest bigint;
BEGIN
    SELECT last_value INTO newest FROM {PLACE.schema}.positions;
    SELECT min(((classid::bigint & 65535) << 32) | objid::bigint) INTO lowest FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND classid::bigint >> {LOCK_BITS - 32} = {LOCK_TAG}
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
    RETURN least(newest, coalesce(lowest, newest));
END $$;
"""  # noqa: S608 - constants

# A partition is created and attached, not created as one: the latter would lock out all appends.
_ADD_DAY: Final = f"""
CREATE FUNCTION add_day(day bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    suffix text;
    name text;
    leaf text;
    bits integer;
BEGIN
    suffix := to_char(to_timestamp(day * 86400) AT TIME ZONE 'UTC', '_YYYYMMDD');
    IF to_regclass('{PLACE.schema}.nodes' || suffix) IS NOT NULL THEN
        RETURN; -- it is the last one
    END IF;
    PERFORM pg_advisory_xact_lock({DAYS_LOCK});
    FOREACH name IN ARRAY ARRAY['batches', 'records', 'matches', 'nodes'] LOOP
        leaf := name || suffix;
        bits := CASE name WHEN 'batches' THEN {BATCH_BITS}
            ELSE {BATCH_BITS + PLACE_BITS} END;
        CONTINUE WHEN to_regclass('{PLACE.schema}.' || leaf) IS NOT NULL;
        EXECUTE format('CREATE TABLE {PLACE.schema}.%I (LIKE {PLACE.schema}.%I INCLUDING ALL)',
            leaf, name);
        EXECUTE format('ALTER TABLE {PLACE.schema}.%I ATTACH PARTITION {PLACE.schema}.%I'
            ' FOR VALUES FROM (%s) TO (%s)', name, leaf, day << bits, (day + 1) << bits);
    END LOOP;
END $$;
"""

# A statement over all days is planned for each of them, which takes longer than to ask one by one.
_LOOK_UPS: Final = f"""
CREATE FUNCTION record_days() RETURNS SETOF regclass LANGUAGE sql STABLE AS $$
    SELECT inhrelid::regclass FROM pg_inherits
    WHERE inhparent = '{PLACE.schema}.records'::regclass ORDER BY inhrelid::regclass::text
$$;

-- Returns the records of decisions, each once, the newest days first.
CREATE FUNCTION find_decisions(tenant text, decisions text[])
RETURNS TABLE (record bigint, decision text) LANGUAGE plpgsql AS $$
DECLARE
    leaf regclass;
    missing integer := cardinality(decisions);
    found_rows integer;
BEGIN
    FOR leaf IN SELECT each FROM {PLACE.schema}.record_days() AS each ORDER BY each::text DESC LOOP
        EXIT WHEN missing <= 0;
        RETURN QUERY EXECUTE format('SELECT sequence, decision_id FROM %s'
            ' WHERE tenant_id = $1 AND decision_id = ANY($2)', leaf) USING tenant, decisions;
        GET DIAGNOSTICS found_rows = ROW_COUNT;
        missing := missing - found_rows;
    END LOOP;
END $$;

-- Returns the time of the oldest record of a tenant; none if it has none.
CREATE FUNCTION oldest_time(tenant text) RETURNS SETOF double precision LANGUAGE plpgsql AS $$
DECLARE
    leaf regclass;
BEGIN
    FOR leaf IN SELECT each FROM {PLACE.schema}.record_days() AS each ORDER BY each::text LOOP
        RETURN QUERY EXECUTE format('SELECT "time" FROM %s WHERE tenant_id = $1'
            ' ORDER BY sequence LIMIT 1', leaf) USING tenant;
        EXIT WHEN FOUND;
    END LOOP;
END $$;
"""  # noqa: S608 - constants

MIGRATIONS: Final = (Migration(_TABLES + _DRAW + _ADD_DAY + _LOOK_UPS, oldest=1),)
