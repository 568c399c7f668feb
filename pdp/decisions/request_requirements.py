"""What a tenant requires of the requests that it has decided (docs/decide.md, A tenant's settings).

These depend on the tenant's settings, so they are checked with its snapshot and not with the bounds
of the contract. Simulations and replays do not check them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.domain.request import Request
    from pdp.domain.tenant_settings import TenantSettings
    from pdp.engine.snapshot import Snapshot


def check_requirements(
    snapshot: Snapshot, request: Request, prefix: str = "", arrived: float | None = None
) -> None:
    """Checks what the tenant requires of a request.

    Args:
        snapshot: the tenant's policies.
        request: the request, with its timestamp set.
        prefix: the prefix of paths in errors, for a request within another message.
        arrived: when the request arrived, by the server's clock; None for now. A request that had
            to wait is as old as it was when it came.

    Raises:
        InvalidArgument: the request does not meet a requirement; the error names the fields.
    """
    if not snapshot.has_requirements:
        return
    now = time.time() if arrived is None else arrived
    violations = list(find_violations(snapshot.settings, request, now, prefix))
    if violations:
        raise InvalidArgument.of(*violations)


def find_violations(
    settings: TenantSettings, request: Request, now: float, prefix: str = ""
) -> Iterator[Violation]:
    """Yields a violation for each requirement that a request does not meet.

    Args:
        settings: the tenant's settings.
        request: the request, with its timestamp set.
        now: the server's clock, in seconds since the epoch.
        prefix: the prefix of paths.
    """
    skew = settings.max_timestamp_skew_s
    # Not "greater than": a timestamp that is no number is refused, too.
    if skew and not abs(request.timestamp - now) <= skew:
        reason = f"is more than {skew} s from the server's clock (max_timestamp_skew_s)"
        yield Violation(f"{prefix}timestamp", reason)
    if settings.require_customer and not request.customer_id:
        yield Violation(f"{prefix}customer_id", "must be set: the tenant requires a customer")
