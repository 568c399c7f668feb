"""The options of `pdp audit`, and the request fields that they set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from pdp.cli.options.times import parse_time

Tenant = Annotated[
    str,
    typer.Option(
        metavar="TENANT",
        help="The tenant whose records to read.  [default: the tenant of the credential]",
    ),
]
_Since = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        help="The earliest time: 2026-02-26T03:00:00Z, or 90m, 24h or 7d for that long ago.",
    ),
]
_Until = Annotated[
    str, typer.Option(metavar="TIME", help="The latest time, in the same form as --since.")
]


@dataclass(frozen=True)
class RecordFilterOptions:
    """Which decision records to read."""

    tenant: Tenant = ""
    since: _Since = ""
    until: _Until = ""
    outcome: Annotated[
        list[str] | None,
        typer.Option(metavar="OUTCOME", help="An outcome, for example BLOCK; may be repeated."),
    ] = None
    risk: Annotated[
        list[str] | None,
        typer.Option(metavar="LEVEL", help="A risk level, for example high; may be repeated."),
    ] = None
    user: Annotated[str, typer.Option(metavar="ID", help="The user who sent the request.")] = ""
    agent: Annotated[str, typer.Option(metavar="ID", help="The agent that sent the request.")] = ""
    customer: Annotated[
        str, typer.Option(metavar="ID", help="The customer that the request named.")
    ] = ""
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="The model, as MODEL or PROVIDER/MODEL.")
    ] = ""
    action: Annotated[
        str,
        typer.Option(metavar="DOMAIN:SCOPE:VERB", help="The action that the agent wanted to take."),
    ] = ""
    policy: Annotated[str, typer.Option(metavar="ID", help="A policy that matched.")] = ""
    reason: Annotated[
        str,
        typer.Option(metavar="CODE", help="The reason code, for example STATIC_POLICY_BLOCK."),
    ] = ""
    request_id: Annotated[
        str, typer.Option(metavar="ID", help="The request id that the caller sent.")
    ] = ""
    pii: Annotated[
        bool | None,
        typer.Option("--pii/--no-pii", help="Only records with, or without, personal data."),
    ] = None

    def body(self) -> dict[str, Any]:
        """Returns the request fields that these options set.

        Raises:
            UsageError: a time cannot be read.
        """
        fields = {
            "since": parse_time(self.since, "--since"),
            "until": parse_time(self.until, "--until"),
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
        return {name: value for name, value in fields.items() if value not in (None, "", [])}


@dataclass(frozen=True)
class ChangeOptions:
    """Which entries of the change log to read."""

    tenant: Tenant = ""
    platform: Annotated[
        bool,
        typer.Option("--platform", help="Read the changes of what all tenants share instead."),
    ] = False
    since: _Since = ""
    until: _Until = ""
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND", help="The kind of object that was changed, for example static_policy."
        ),
    ] = ""
    entity: Annotated[
        str, typer.Option(metavar="ID", help="The id of the object that was changed.")
    ] = ""
    actor: Annotated[str, typer.Option(metavar="NAME", help="Who made the change.")] = ""
    op: Annotated[str, typer.Option(metavar="create|update|delete", help="The kind of change.")] = (
        ""
    )

    def body(self) -> dict[str, Any]:
        """Returns the request fields that these options set.

        Raises:
            UsageError: a time cannot be read.
        """
        fields = {
            "since": parse_time(self.since, "--since"),
            "until": parse_time(self.until, "--until"),
            "kind": self.kind,
            "entity_id": self.entity,
            "actor": self.actor,
            "op": self.op,
        }
        return {name: value for name, value in fields.items() if value}
