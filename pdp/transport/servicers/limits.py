"""LimitService (docs/decide.md, Limits)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import limits_pb2 as pb
from pdp.domain.limits import BOUNDS, MICROS, QUOTAS, RATE, Bound, Limit, counts_of, find_breach
from pdp.domain.usage import MAX_COUNT, MINUTE_S, SubjectUsage, UsageSnapshot
from pdp.errors import InvalidArgument, Violation
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from google.protobuf.message import Message
    from google.protobuf.struct_pb2 import Value

    from pdp.admin.limits import Limits
    from pdp.domain.limits import ActiveLimit
    from pdp.domain.request import Request
    from pdp.transport.call import Call, Endpoint

MAX_DOLLARS: Final = 1_000_000_000
_COST: Final = "cost"
_PLAIN: Final = ("scope", "subject_id", "is_active")


class LimitServicer:
    """Administers the limits of the tenant that a call acts for."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListLimits": self.list,
            "CreateLimit": self.create,
            "GetLimitUsage": self.usage,
            "GetLimit": self.get,
            "UpdateLimit": self.update,
            "DeleteLimit": self.delete,
        }

    async def list(self, call: Call, message: Message) -> pb.ListLimitsResponse:
        """Lists all limits."""
        found = await self._limits.list(call.tenant_id)
        return pb.ListLimitsResponse(limits=[_limit(each) for each in found])

    async def create(self, call: Call, message: Message) -> pb.CreateLimitResponse:
        """Makes a limit."""
        asked = cast("pb.CreateLimitRequest", message)
        sent = _sent(asked)
        draft = Limit(
            id="",
            scope="user" if asked.scope == "user" else "group",
            subject_id=asked.subject_id,
            is_active=asked.is_active if asked.HasField("is_active") else True,
            **_amounts(sent),
        )
        written = await self._limits.create(call.tenant_id, call.principal.name, draft)
        return pb.CreateLimitResponse(limit=_limit(with_new_etag(call, written)))

    async def get(self, call: Call, message: Message) -> pb.GetLimitResponse:
        """Returns a limit."""
        asked = cast("pb.GetLimitRequest", message)
        limit = with_etag(call, await self._limits.get(call.tenant_id, asked.limit_id))
        return pb.GetLimitResponse(limit=_limit(limit))

    async def update(self, call: Call, message: Message) -> pb.UpdateLimitResponse:
        """Changes the fields that were sent."""
        asked = cast("pb.UpdateLimitRequest", message)
        present = {field.name for field, _ in asked.ListFields()}
        changes: dict[str, Any] = {name: getattr(asked, name) for name in _PLAIN if name in present}
        written = await self._limits.update(
            call.tenant_id,
            call.principal.name,
            asked.limit_id,
            {**changes, **_amounts(_numbers(_sent(asked)))},
            expectation(call),
        )
        return pb.UpdateLimitResponse(limit=_limit(with_new_etag(call, written)))

    async def delete(self, call: Call, message: Message) -> pb.DeleteLimitResponse:
        """Deletes a limit."""
        asked = cast("pb.DeleteLimitRequest", message)
        written = await self._limits.delete(
            call.tenant_id, call.principal.name, asked.limit_id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeleteLimitResponse()

    async def usage(self, call: Call, message: Message) -> pb.GetLimitUsageResponse:
        """Tells how all limits stand."""
        found = await self._limits.usage(call.tenant_id)
        return pb.GetLimitUsageResponse(
            usage=[
                pb.LimitUsage(
                    limit_id=limit.id,
                    scope=limit.scope,
                    subject_id=limit.subject_id,
                    is_active=limit.is_active,
                    **_usages(limit, found.spent, BOUNDS),
                )
                for limit in found.limits
            ]
        )


def quotas_of(limits: Iterable[ActiveLimit], request: Request) -> pb.Quotas:
    """Returns how the quotas that apply to a simulated request stand."""
    found = pb.Quotas()
    for limit, spent, bounds in _applying(limits, request, QUOTAS):
        found.quotas.add(
            limit_id=limit.id,
            scope=limit.scope,
            subject_id=limit.subject_id,
            exceeded=_exceeded(bounds, spent, limit, request),
            **_usages(limit, spent, bounds),
        )
    return found


def rate_limits_of(limits: Iterable[ActiveLimit], request: Request) -> pb.RateLimits:
    """Returns how the rate limits that apply to a simulated request stand."""
    found = pb.RateLimits()
    for limit, spent, bounds in _applying(limits, request, (RATE,)):
        found.rate_limits.add(
            limit_id=limit.id,
            scope=limit.scope,
            subject_id=limit.subject_id,
            exceeded=_exceeded(bounds, spent, limit, request),
            **_usages(limit, spent, bounds),
        )
    return found


def _applying(
    limits: Iterable[ActiveLimit], request: Request, among: Iterable[Bound]
) -> Iterable[tuple[Limit, UsageSnapshot, list[Bound]]]:
    """Yields each limit that sets any of the bounds, with what was spent and those it sets."""
    for each in limits:
        bounds = [bound for bound, _ in each.bounds if bound in among]
        if bounds and request.usage_snapshot is not None:
            yield each.limit, request.usage_snapshot, bounds


def _exceeded(
    bounds: Iterable[Bound], spent: UsageSnapshot, limit: Limit, request: Request
) -> bool:
    spending, asked = spent.by_limit[limit.id], counts_of(request.usage)
    return any(
        find_breach(spending, spent, bound, getattr(limit, bound.attribute), asked) is not None
        for bound in bounds
    )


def _sent(asked: Message) -> dict[Bound, Any]:
    """Returns the bounds that a message holds; those that are not sent are no fields of it."""
    present = {field.name: value for field, value in asked.ListFields()}
    return {bound: present[bound.name] for bound in BOUNDS if bound.name in present}


def _numbers(sent: Mapping[Bound, Value]) -> dict[Bound, float | None]:
    """Returns the numbers that were sent as values, None for null.

    Raises:
        InvalidArgument: some are no numbers from 0; it names them.
    """
    numbers: dict[Bound, float | None] = {}
    violations = []
    for bound, value in sent.items():
        if value.WhichOneof("kind") == "null_value":
            numbers[bound] = None
            continue
        number = value.number_value
        cost = bound.measure == _COST
        fits = 0 <= number <= (MAX_DOLLARS if cost else MAX_COUNT)
        whole = cost or (fits and number.is_integer())
        if value.WhichOneof("kind") == "number_value" and fits and whole:
            numbers[bound] = number
            continue
        kind = (
            f"a number from 0 to {MAX_DOLLARS}" if cost else f"a whole number from 0 to {MAX_COUNT}"
        )
        violations.append(Violation(bound.name, f"must be {kind}, or null"))
    if violations:
        raise InvalidArgument.of(*violations)
    return numbers


def _amounts(numbers: Mapping[Bound, float | None]) -> dict[str, Any]:
    """Returns the fields of `Limit` for `numbers`: costs in micro-dollars.

    Raises:
        InvalidArgument: some costs have too many decimals; it names them.
    """
    amounts: dict[str, int | None] = {}
    violations = []
    for bound, number in numbers.items():
        if number is None:
            amounts[bound.attribute] = None
            continue
        # By its decimal digits: 0.29 * 1e6 is no whole number in binary.
        exact = Decimal(repr(number)) * (MICROS if bound.measure == _COST else 1)
        amounts[bound.attribute] = int(exact)
        if exact != int(exact):
            violations.append(Violation(bound.name, "must have at most six decimals"))
    if violations:
        raise InvalidArgument.of(*violations)
    return amounts


def _limit(limit: Limit) -> pb.Limit:
    return pb.Limit(
        id=limit.id,
        scope=limit.scope,
        subject_id=limit.subject_id,
        is_active=limit.is_active,
        created_at=_time(limit.created_at),
        updated_at=_time(limit.updated_at),
        **{bound.name: _shown(bound, getattr(limit, bound.attribute)) for bound in BOUNDS},
    )


def _usages(limit: Limit, spent: UsageSnapshot, bounds: Iterable[Bound]) -> dict[str, Any]:
    spending = spent.by_limit[limit.id]
    return {bound.name: _usage(bound, limit, spending, spent) for bound in bounds}


def _usage(
    bound: Bound, limit: Limit, spending: SubjectUsage, spent: UsageSnapshot
) -> pb.CountUsage | pb.CostUsage:
    allowed: int | None = getattr(limit, bound.attribute)
    used = min(max(bound.count_in(spending), 0), MAX_COUNT)
    kind = pb.CostUsage if bound.measure == _COST else pb.CountUsage
    calendar = spent.calendar
    start, end = {
        "minute": (spent.at - MINUTE_S, max(spent.at, spending.empty_at)),
        "day": (calendar.day_start, calendar.day_end),
        "month": (calendar.month_start, calendar.month_end),
    }[bound.window]
    return kind(
        used=_shown(bound, used),
        limit=_shown(bound, allowed),
        remaining=_shown(bound, None if allowed is None else max(0, allowed - used)),
        window_start=_time(start),
        resets_at=_time(end),
    )


def _shown(bound: Bound, amount: int | None) -> Any:
    """Returns an amount as callers see it: costs in dollars."""
    return amount if amount is None or bound.measure != _COST else amount / MICROS


def _time(seconds: float) -> Timestamp:
    """Whole seconds, as the seeds show times."""
    return Timestamp(seconds=int(seconds))
