"""The options of `pdp audit`, and the fields of requests that they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from pdp.cli.asking import Misused

_AGO: Final = re.compile(r"(\d{1,6})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

_Tenant = Annotated[
    str, typer.Option(metavar="TENANT", help="Whose records.  [default: the credential's]")
]
_Since = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="From when on: 2026-02-26T03:00:00Z, or 90m, 24h, 7d for so long ago."
    ),
]
_Until = Annotated[str, typer.Option(metavar="TIME", help="Until when; as --since.")]


@dataclass(frozen=True)
class RecordFilterOptions:
    """Which decisions are wanted."""

    tenant: _Tenant = ""
    since: _Since = ""
    until: _Until = ""
    outcome: Annotated[
        list[str] | None,
        typer.Option(metavar="OUTCOME", help="An outcome, for instance BLOCK; may be repeated."),
    ] = None
    risk: Annotated[
        list[str] | None,
        typer.Option(metavar="LEVEL", help="A risk level, for instance high; may be repeated."),
    ] = None
    user: Annotated[str, typer.Option(metavar="ID", help="The user who asked.")] = ""
    agent: Annotated[str, typer.Option(metavar="ID", help="The agent that asked.")] = ""
    customer: Annotated[str, typer.Option(metavar="ID", help="The customer that was named.")] = ""
    model: Annotated[str, typer.Option(metavar="MODEL", help="The model, or provider/model.")] = ""
    action: Annotated[
        str, typer.Option(metavar="DOMAIN:SCOPE:VERB", help="What the agent was about to do.")
    ] = ""
    policy: Annotated[str, typer.Option(metavar="ID", help="A policy that matched.")] = ""
    reason: Annotated[
        str, typer.Option(metavar="CODE", help="The reason, for instance STATIC_POLICY_BLOCK.")
    ] = ""
    request_id: Annotated[str, typer.Option(metavar="ID", help="The caller's own id.")] = ""
    pii: Annotated[
        bool | None, typer.Option("--pii/--no-pii", help="With personal data, or without.")
    ] = None

    def body(self) -> dict[str, Any]:
        """Returns the fields of a request that these options set.

        Raises:
            Misused: a time cannot be read.
        """
        given = {
            "since": moment(self.since, "--since"),
            "until": moment(self.until, "--until"),
            "outcome": [each.upper() for each in self.outcome or ()],
            "risk_level": self.risk,
            "user_id": self.user,
            "agent_id": self.agent,
            "customer_id": self.customer,
            "model": self.model,
            "action": self.action,
            "policy_id": self.policy,
            "reason_code": self.reason,
            "request_id": self.request_id,
            "pii_detected": self.pii,
        }
        return {name: value for name, value in given.items() if value not in (None, "", [])}


@dataclass(frozen=True)
class ChangeOptions:
    """Which changes are wanted."""

    tenant: _Tenant = ""
    platform: Annotated[
        bool, typer.Option("--platform", help="Changes of what all tenants share.")
    ] = False
    since: _Since = ""
    until: _Until = ""
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="What was changed, for instance static_policy.")
    ] = ""
    entity: Annotated[str, typer.Option(metavar="ID", help="The id of what was changed.")] = ""
    actor: Annotated[str, typer.Option(metavar="NAME", help="Who changed it.")] = ""
    op: Annotated[str, typer.Option(metavar="create|update|delete", help="What was done.")] = ""

    def body(self) -> dict[str, Any]:
        """Returns the fields of a request that these options set.

        Raises:
            Misused: a time cannot be read.
        """
        given = {
            "since": moment(self.since, "--since"),
            "until": moment(self.until, "--until"),
            "kind": self.kind,
            "entity_id": self.entity,
            "actor": self.actor,
            "op": self.op,
        }
        return {name: value for name, value in given.items() if value}


def moment(text: str, option: str) -> str:
    """Returns a time as RFC 3339; empty for none.

    Raises:
        Misused: it cannot be read.
    """
    if not text:
        return ""
    ago = _AGO.fullmatch(text)
    if ago:
        when = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    else:
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            hint = "write 2026-02-26T03:00:00Z, or 90m, 24h or 7d"
            raise Misused(f'{option} "{text}" is no time: {hint}') from None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")
