"""The options that describe a request for a decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer


@dataclass(frozen=True)
class RequestOptions:
    """The request to decide on. `pdp.cli.request` builds the message from it."""

    request: Annotated[
        str | None,
        typer.Option(
            "--request",
            "-r",
            metavar="FILE",
            help="Read the request as JSON from FILE, or from standard input if FILE is -. The "
            "options below override its fields.",
        ),
    ] = None
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="The text to check.")] = None
    payload: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Check the body of a request or a response of a provider, from FILE or from "
            "standard input if FILE is -.",
        ),
    ] = None
    payload_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="The format of the payload, for instance openai.chat_completions.  "
            "[default: look at it]",
        ),
    ] = None
    history: Annotated[
        str | None,
        typer.Option(
            metavar="all|latest",
            help="With latest, what stands before the last answer in the payload does not stop "
            "the request.",
        ),
    ] = None
    action: Annotated[
        str | None,
        typer.Option(metavar="DOMAIN:SCOPE:VERB", help="The action that an agent wants to take."),
    ] = None
    tool: Annotated[
        str | None, typer.Option(metavar="NAME", help="The tool that an agent wants to call.")
    ] = None
    arg: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="One argument of the tool; may be repeated. NAME=VALUE passes a string, "
            "NAME:=VALUE passes JSON.",
        ),
    ] = None
    arguments: Annotated[
        str | None, typer.Option(metavar="JSON", help="All arguments of the tool.")
    ] = None
    tenant: Annotated[
        str | None,
        typer.Option(metavar="TENANT", help="The tenant whose policies apply.  [default: default]"),
    ] = None
    customer: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The customer whose policies apply in addition."),
    ] = None
    user: Annotated[
        str | None, typer.Option(metavar="ID", help="The user who sends the request.")
    ] = None
    group: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A group of the user; may be repeated.")
    ] = None
    agent: Annotated[
        str | None, typer.Option(metavar="ID", help="The agent or client that sends the request.")
    ] = None
    session: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="The conversation or agent run that the request belongs to."
        ),
    ] = None
    model: Annotated[
        str | None,
        typer.Option(metavar="PROVIDER/MODEL", help="The model that the request is for."),
    ] = None
    direction: Annotated[
        str | None,
        typer.Option(
            metavar="input|output", help="input: sent to a model. output: returned by a model."
        ),
    ] = None
    channel: Annotated[
        str | None,
        typer.Option(metavar="interactive|api", help="The channel through which the user asks."),
    ] = None
    classification: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL", help="A label of the resource, for example PII; may be repeated."
        ),
    ] = None
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A field of the resource; may be repeated."),
    ] = None
    context: Annotated[
        str | None, typer.Option(metavar="JSON", help="Further values that conditions can read.")
    ] = None
    min_revision: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="The lowest policy revision that may decide."),
    ] = None
    explain: Annotated[
        bool, typer.Option("--explain", help="Show each step that led to the decision.")
    ] = False
