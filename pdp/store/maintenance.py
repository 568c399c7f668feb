"""Backup and restore of databases in files. `database_file` finds the file of a URL.

`pdp backup` and `pdp restore` use these functions. A database that is not a file is backed up with
its own tools.
"""

from pdp.store.opening import database_file
from pdp.store.sqlite.backup import (
    POLICIES,
    RECORDS,
    DatabaseKind,
    LatestChanges,
    advance_revision,
    check,
    copy,
    latest_changes,
    replace,
    verify_copy,
)
from pdp.store.sqlite.connections import prepare_directory

__all__ = [
    "POLICIES",
    "RECORDS",
    "DatabaseKind",
    "LatestChanges",
    "advance_revision",
    "check",
    "copy",
    "database_file",
    "latest_changes",
    "prepare_directory",
    "replace",
    "verify_copy",
]
