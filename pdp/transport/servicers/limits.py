"""LimitService (docs/decide.md, Limits)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from pdp._gen.pdp.v1 import limits_pb2 as pb
from pdp.admin.pages import Page
from pdp.domain.limits import BOUNDS, MICROS, QUOTAS, RATE, Bound, Limit, counts_of, find_breach
from pdp.domain.usage import MAX_COUNT, MINUTE_S, SubjectUsage, UsageSnapshot
from pdp.errors import InvalidArgument, Violation
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision
from pdp.transport.paging import answer_list
from pdp.transport.servicers.fields import to_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from google.protobuf.message import Message
    from google.protobuf.struct_pb2 import Value

    from pdp.admin.limits import Limits
    from pdp.admin.pages import PageRequest
    from pdp.domain.limits import ActiveLimit
    from pdp.domain.request import Request
    from pdp.transport.call import Call, Endpoint

MAX_DOLLARS: Final = 1_000_000_000
_COST: Final = "cost"
_PLAIN_FIELDS: Final = ("scope", "subject_id", "is_active")


class LimitServicer:
    """Administers the limits of the call's tenant and reports their usage."""

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
        return await answer_list(
            call,
            cast("pb.ListLimitsRequest", message),
            "limits",
            read=lambda page: self._limits.list(call.tenant_id, page),
            build=lambda page: pb.ListLimitsResponse(limits=map(_limit, page.items)),
        )

    async def create(self, call: Call, message: Message) -> pb.CreateLimitResponse:
        """Creates a limit."""
        request = cast("pb.CreateLimitRequest", message)
        draft = Limit(
            id="",
            scope="user" if request.scope == "user" else "group",
            subject_id=request.subject_id,
            is_active=request.is_active if request.HasField("is_active") else True,
            **_amounts(_bounds(request)),
        )
        written = await self._limits.create(call.tenant_id, call.principal.name, draft)
        return pb.CreateLimitResponse(limit=_limit(with_new_etag(call, written)))

    async def get(self, call: Call, message: Message) -> pb.GetLimitResponse:
        """Returns a limit."""
        request = cast("pb.GetLimitRequest", message)
        limit = with_etag(call, await self._limits.get(call.tenant_id, request.limit_id))
        return pb.GetLimitResponse(limit=_limit(limit))

    async def update(self, call: Call, message: Message) -> pb.UpdateLimitResponse:
        """Changes the fields that are set in the request."""
        request = cast("pb.UpdateLimitRequest", message)
        present = {field.name for field, _ in request.ListFields()}
        changes: dict[str, Any] = {
            name: getattr(request, name) for name in _PLAIN_FIELDS if name in present
        }
        written = await self._limits.update(
            call.tenant_id,
            call.principal.name,
            request.limit_id,
            {**changes, **_amounts(_numbers(_bounds(request)))},
            expectation(call),
        )
        return pb.UpdateLimitResponse(limit=_limit(with_new_etag(call, written)))

    async def delete(self, call: Call, message: Message) -> pb.DeleteLimitResponse:
        """Deletes a limit."""
        request = cast("pb.DeleteLimitRequest", message)
        written = await self._limits.delete(
            call.tenant_id, call.principal.name, request.limit_id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeleteLimitResponse()

    async def usage(self, call: Call, message: Message) -> pb.GetLimitUsageResponse:
        """Returns the usage of all limits."""

        async def read(request: PageRequest) -> Page[pb.LimitUsage]:
            report = await self._limits.usage(call.tenant_id, request)
            page = report.page
            usage = [_limit_usage(limit, report.spent) for limit in page.items]
            return Page(usage, page.next_token, page.total)

        return await answer_list(
            call,
            cast("pb.GetLimitUsageRequest", message),
            "usage",
            read=read,
            build=lambda page: pb.GetLimitUsageResponse(usage=page.items),
        )


def _limit_usage(limit: Limit, spent: UsageSnapshot) -> pb.LimitUsage:
    return pb.LimitUsage(
        limit_id=limit.id,
        scope=limit.scope,
        subject_id=limit.subject_id,
        is_active=limit.is_active,
        **_usages(limit, spent, BOUNDS),
    )


def quotas_of(limits: Iterable[ActiveLimit], request: Request) -> pb.Quotas:
    """Returns the usage of the quotas that apply to a simulated request."""
    quotas = pb.Quotas()
    for limit, spent, bounds in _applying(limits, request, QUOTAS):
        quotas.quotas.add(
            limit_id=limit.id,
            scope=limit.scope,
            subject_id=limit.subject_id,
            exceeded=_exceeded(bounds, spent, limit, request),
            **_usages(limit, spent, bounds),
        )
    return quotas


def rate_limits_of(limits: Iterable[ActiveLimit], request: Request) -> pb.RateLimits:
    """Returns the usage of the rate limits that apply to a simulated request."""
    rate_limits = pb.RateLimits()
    for limit, spent, bounds in _applying(limits, request, (RATE,)):
        rate_limits.rate_limits.add(
            limit_id=limit.id,
            scope=limit.scope,
            subject_id=limit.subject_id,
            exceeded=_exceeded(bounds, spent, limit, request),
            **_usages(limit, spent, bounds),
        )
    return rate_limits


def _applying(
    limits: Iterable[ActiveLimit], request: Request, candidates: Iterable[Bound]
) -> Iterable[tuple[Limit, UsageSnapshot, list[Bound]]]:
    """Yields each limit that sets some of the bounds, with its usage and these bounds."""
    for each in limits:
        bounds = [bound for bound, _ in each.bounds if bound in candidates]
        if bounds and request.usage_snapshot is not None:
            yield each.limit, request.usage_snapshot, bounds


def _exceeded(
    bounds: Iterable[Bound], spent: UsageSnapshot, limit: Limit, request: Request
) -> bool:
    spending, counts = spent.by_limit[limit.id], counts_of(request.usage)
    return any(
        find_breach(spending, spent, bound, getattr(limit, bound.attribute), counts) is not None
        for bound in bounds
    )


def _bounds(message: Message) -> dict[Bound, Any]:
    """Returns the bounds that are set in a message."""
    present = {field.name: value for field, value in message.ListFields()}
    return {bound: present[bound.name] for bound in BOUNDS if bound.name in present}


def _numbers(values: Mapping[Bound, Value]) -> dict[Bound, float | None]:
    """Returns the numbers in JSON values; None for null.

    Raises:
        InvalidArgument: some values are not numbers in the allowed range; the error names them.
    """
    numbers: dict[Bound, float | None] = {}
    violations = []
    for bound, value in values.items():
        if value.WhichOneof("kind") == "null_value":
            numbers[bound] = None
            continue
        number = value.number_value
        is_cost = bound.measure == _COST
        in_range = 0 <= number <= (MAX_DOLLARS if is_cost else MAX_COUNT)
        has_form = is_cost or (in_range and number.is_integer())
        if value.WhichOneof("kind") == "number_value" and in_range and has_form:
            numbers[bound] = number
            continue
        allowed = (
            f"a number from 0 to {MAX_DOLLARS}"
            if is_cost
            else f"a whole number from 0 to {MAX_COUNT}"
        )
        violations.append(Violation(bound.name, f"must be {allowed}, or null"))
    if violations:
        raise InvalidArgument.of(*violations)
    return numbers


def _amounts(numbers: Mapping[Bound, float | None]) -> dict[str, Any]:
    """Returns the fields of `Limit` for `numbers`; costs are in micro-dollars.

    Raises:
        InvalidArgument: some costs have too many decimals; the error names them.
    """
    amounts: dict[str, int | None] = {}
    violations = []
    for bound, number in numbers.items():
        if number is None:
            amounts[bound.attribute] = None
            continue
        # Uses the decimal digits, because 0.29 * 1e6 is not a whole number in binary.
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
        created_at=to_timestamp(limit.created_at),
        updated_at=to_timestamp(limit.updated_at),
        **{bound.name: _amount(bound, getattr(limit, bound.attribute)) for bound in BOUNDS},
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
        used=_amount(bound, used),
        limit=_amount(bound, allowed),
        remaining=_amount(bound, None if allowed is None else max(0, allowed - used)),
        window_start=to_timestamp(start),
        resets_at=to_timestamp(end),
    )


def _amount(bound: Bound, amount: int | None) -> Any:
    """Returns an amount for the response; costs are in dollars."""
    return amount if amount is None or bound.measure != _COST else amount / MICROS
