"""What a tenant's settings require of a request."""

from __future__ import annotations

import pytest

from pdp.decisions.request_requirements import check_requirements, find_violations
from pdp.domain import tenant_settings
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.domain.tenant_settings import TenantSettings
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.errors import InvalidArgument

NOW = 1_000_000.0


def fields(settings: TenantSettings, request: Request) -> list[str]:
    """Returns the fields that do not meet the settings."""
    return [each.field for each in find_violations(settings, request, NOW, "requests[1].")]


@pytest.mark.parametrize(
    ("skew", "timestamp", "is_refused"),
    [
        (300, NOW - 300, False),
        (300, NOW - 300.001, True),
        (300, NOW + 300, False),
        (300, NOW + 300.001, True),
        (300, NOW, False),
        (300, float("nan"), True),
        (1, NOW - 1, False),
        (1, NOW - 1.001, True),
        (0, 0.0, False),
    ],
)
def test_a_timestamp_far_from_the_clock(skew: int, timestamp: float, is_refused: bool) -> None:
    settings = TenantSettings(max_timestamp_skew_s=skew)
    assert fields(settings, Request(timestamp=timestamp)) == (
        ["requests[1].timestamp"] if is_refused else []
    )


def test_a_request_without_a_customer() -> None:
    settings = TenantSettings(require_customer=True)
    assert fields(settings, Request()) == ["requests[1].customer_id"]
    assert fields(settings, Request(customer_id="acme")) == []
    assert fields(TenantSettings(), Request()) == []


def test_all_violations_are_named() -> None:
    settings = TenantSettings(require_customer=True, max_timestamp_skew_s=300)
    assert fields(settings, Request()) == ["requests[1].timestamp", "requests[1].customer_id"]


def test_a_request_is_as_old_as_it_was_when_it_arrived() -> None:
    """A request that waited for a revision or for its policies is not refused for that."""
    settings = {tenant_settings.ID: TenantSettings(max_timestamp_skew_s=300)}
    policies = PolicySet({tenant_settings.KIND: settings})
    snapshot = compile_tenant(compile_platform(PolicySet(), {}), "acme", policies, 1)
    check_requirements(snapshot, Request(timestamp=NOW), arrived=NOW + 1)
    with pytest.raises(InvalidArgument, match="timestamp: is more than 300 s"):
        check_requirements(snapshot, Request(timestamp=NOW), arrived=NOW + 301)
    with pytest.raises(InvalidArgument):
        check_requirements(snapshot, Request(timestamp=NOW))
