"""The migrations of the store of policies in PostgreSQL.

Never edit a released migration: append one. All pending migrations are applied in one transaction.
See `schema` for what a migration may do within a minor release.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pdp.store.postgres.session import DIALECT

SCHEMA: Final = "pdp"
"""The schema of all tables, so that they can share a database with others."""


class Migration(NamedTuple):
    """A step from one schema to the next.

    Attributes:
        sql: its statements.
        oldest: the number of the oldest schema whose release still works with the new one.
    """

    sql: str
    oldest: int


_IS_OPEN: Final = "TEXT_FIELD(state) IN ('pending', 'approved')"

_FIRST: Final = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
SET LOCAL search_path TO {SCHEMA};

CREATE TABLE records (
    tenant_id  text COLLATE "C" NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    name       text COLLATE "C",
    body       text COLLATE "C" NOT NULL, -- JSON
    revision   bigint NOT NULL,
    seq        bigint NOT NULL, -- order of creation: the revision that created it
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL,
    deleted_at double precision,
    PRIMARY KEY (tenant_id, kind, id)
);
CREATE UNIQUE INDEX records_by_name ON records (tenant_id, kind, name)
    WHERE deleted_at IS NULL AND name IS NOT NULL;
CREATE INDEX records_in_order ON records (tenant_id, kind, seq) WHERE deleted_at IS NULL;
CREATE INDEX approvals_open ON records (tenant_id, TEXT_FIELD(subject))
    WHERE kind = 'approval' AND deleted_at IS NULL AND {_IS_OPEN};
CREATE INDEX approvals_due ON records (NUMBER_FIELD(expires_at))
    WHERE kind = 'approval' AND deleted_at IS NULL AND {_IS_OPEN};
CREATE INDEX approvals_closed ON records (NUMBER_FIELD(expires_at))
    WHERE kind IN ('approval', 'confirmation')
        AND TEXT_FIELD(state) NOT IN ('pending', 'approved');
CREATE INDEX approvals_of_tenant ON records (tenant_id) WHERE kind = 'approval';

CREATE TABLE changes (
    revision  bigint PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL,
    kind      text COLLATE "C" NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    op        text COLLATE "C" NOT NULL CHECK (op IN ('create', 'update', 'delete')),
    before    text COLLATE "C",
    after     text COLLATE "C",
    actor     text COLLATE "C" NOT NULL,
    at        double precision NOT NULL,
    summary   text COLLATE "C" NOT NULL
);
CREATE INDEX changes_of_entity ON changes (tenant_id, kind, entity_id, revision);
CREATE INDEX changes_deletions ON changes (tenant_id, kind, entity_id) WHERE op = 'delete';
CREATE INDEX changes_of_tenant ON changes (tenant_id, revision);
-- The writer is alone, so no number is given twice, and a rollback leaves no gap. A sequence would
-- give numbers that others see before their changes.
CREATE FUNCTION next_revision() RETURNS bigint LANGUAGE sql VOLATILE
    AS 'SELECT coalesce(max(revision), 0) + 1 FROM {SCHEMA}.changes';
ALTER TABLE changes ALTER COLUMN revision SET DEFAULT next_revision();

CREATE TABLE change_log (
    removed_through bigint NOT NULL, -- a revision; up to it, changes may be missing
    removed_until   double precision NOT NULL, -- the time of that revision
    commits         bigint NOT NULL, -- every write raises it, and holds the lock of this row
    schema_version  integer NOT NULL,
    oldest_schema   integer NOT NULL
);
INSERT INTO change_log VALUES (0, 0, 0, 0, 0);

CREATE TABLE counters (
    tenant_id  text COLLATE "C" NOT NULL,
    scope      text COLLATE "C" NOT NULL,
    subject_id text COLLATE "C" NOT NULL,
    "window"   text COLLATE "C" NOT NULL,
    start      bigint NOT NULL,
    requests   bigint NOT NULL,
    tokens     bigint NOT NULL,
    cost       bigint NOT NULL, -- in micro-dollars
    stamp      bigint NOT NULL UNIQUE,
    PRIMARY KEY (tenant_id, scope, subject_id, "window", start)
);
CREATE INDEX counters_by_age ON counters ("window", start);
CREATE TABLE counter_stamps (last bigint NOT NULL);
INSERT INTO counter_stamps VALUES (0);
"""  # noqa: S608 - constants

_PROCESSES: Final = f"""
CREATE TABLE {SCHEMA}.processes (
    process_id     text COLLATE "C" PRIMARY KEY,
    host           text COLLATE "C" NOT NULL,
    pid            bigint NOT NULL,
    worker         integer NOT NULL,
    version        text COLLATE "C" NOT NULL,
    revision       bigint NOT NULL, -- of the policies that it has in force
    policies_age_s double precision NOT NULL,
    draining       integer NOT NULL,
    started_at     double precision NOT NULL,
    seen_at        double precision NOT NULL
);
"""

MIGRATIONS: Final = (
    Migration(DIALECT.statement(_FIRST), oldest=1),
    Migration(_PROCESSES, oldest=1),
)
