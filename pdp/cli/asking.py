"""From options to a request in JSON, and to whoever answers it."""

from __future__ import annotations

import getpass
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pdp.cli.exit_codes import Exit, complain, of_error, of_failure
from pdp.client import CallFailed, rpc
from pdp.errors import InvalidArgument, MalformedRequest, PdpError, Violation
from pdp.jsonpb import decode, decode_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

    from pdp.cli.options import RequestOptions, TargetOptions
    from pdp.client import Client
    from pdp.config import Settings
    from pdp.detect.ner import NerEngine

_HINTS: Final = {
    "UNAVAILABLE": 'Start one with "pdp serve --auth dev", name another with --server or '
    "PDP_SERVER, or ask none with --embedded.",
    "UNIMPLEMENTED": "What answers there is no policy decision point, or one of another version.",
    "DEADLINE_EXCEEDED": "Give it longer with --timeout.",
    "UNAUTHENTICATED": "Name an API key in PDP_API_KEY, or a token in PDP_TOKEN; the server's "
    "administrator makes keys by pdp keys create.",
}
"""What to do, by what gRPC itself says; a server's own errors say it themselves."""


class Misused(Exception):
    """Options that make no sense; the message says which."""


def request_from(options: RequestOptions) -> dict[str, Any]:
    """Returns the DecideRequest, as JSON, that `options` ask for.

    Raises:
        Misused: they ask for nothing, or one cannot be read.
        MalformedRequest: the request's file is not JSON.
        InvalidArgument: it holds no object.

    """
    asked = read_object(options.request, "--request") if options.request else {}
    given = [(path.split("."), value) for path, value in _settings(options) if value is not None]
    for argument in options.arg or ():
        name, value = _argument(argument)
        given.append((["arguments", name], value))
    if not given and not options.request:
        raise Misused("nothing to judge: give --text, --action, --tool or --request")
    for path, value in given:
        _set(asked, path, value)
    return asked


def _settings(options: RequestOptions) -> list[tuple[str, Any]]:
    """Returns what the options set, by their paths in the request; None for what they do not."""
    provider, model = None, options.model
    if model and "/" in model:
        provider, _, model = model.partition("/")
    return [
        ("content.text", options.text),
        ("action", options.action),
        ("tool", options.tool),
        ("arguments", _parsed(options.arguments, "--arguments")),
        ("tenant_id", options.tenant),
        ("customer_id", options.customer),
        ("subject.user_id", options.user),
        ("subject.groups", options.group),
        ("subject.agent_id", options.agent),
        ("model.provider", provider),
        ("model.model", model),
        ("direction", options.direction),
        ("channel", options.channel),
        ("target.classifications", options.classification),
        ("target.fields", options.field),
        ("context", _parsed(options.context, "--context")),
        ("min_revision", options.min_revision),
        ("explain", options.explain or None),
    ]


def _set(asked: dict[str, Any], path: list[str], value: Any) -> None:
    *parents, name = path
    inside: Any = asked
    for parent in parents:
        inside = inside.setdefault(parent, {})
        if not isinstance(inside, dict):
            raise Misused(f"{parent} is no object in the request, so {name} cannot be set in it")
    inside[name] = value


def _argument(given: str) -> tuple[str, Any]:
    name, found, value = given.partition("=")
    if not found or not name.rstrip(":"):
        raise Misused(f'--arg "{given}" is neither NAME=VALUE nor NAME:=JSON')
    if name.endswith(":"):
        return name[:-1], _parsed(value, f"--arg {name[:-1]}")
    return name, value


def _parsed(text: str | None, option: str) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise Misused(f"{option} is not JSON: {error}") from None


def actor_here() -> str:
    """Returns whom the change log names for what is done on the database itself."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a user id without a name, as containers have
        return f"cli:{os.getuid()}"


def read_source(name: str, option: str) -> bytes:
    """Returns what is in the file `name`, or on standard input for `-`.

    Raises:
        Misused: it cannot be read.

    """
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Misused(f"{option} {name} cannot be read: {error.strerror}") from None


def read_object(name: str, option: str) -> dict[str, Any]:
    """Returns the JSON object in the file `name`, or on standard input for `-`.

    Raises:
        Misused: the file cannot be read.
        MalformedRequest: it is not JSON.
        InvalidArgument: it holds no object.

    """
    value = parsed(read_source(name, option), f"{option} {name}")
    if not isinstance(value, dict):
        problem = Violation(option, "must hold a JSON object")
        raise InvalidArgument(f"{option} {name} holds no JSON object", problem)
    return value


def parsed(raw: bytes, place: str) -> object:
    """Returns the JSON value in `raw`.

    Args:
        raw: what was read.
        place: where from, for the error.

    Raises:
        MalformedRequest: it is not JSON.
    """
    try:
        return decode_json(raw)
    except MalformedRequest as error:
        reason = error.violations[0].reason
        raise MalformedRequest(f"{place} is not JSON: {reason}", *error.violations) from None


def read_overlay(name: str) -> dict[str, Any]:
    """Returns the candidate policies in the file `name`: YAML, of which JSON is a part.

    Raises:
        Misused: the file cannot be read, or holds no mapping.

    """
    import yaml  # noqa: PLC0415 - no decision needs it

    from pdp.cases.strict_yaml import parse  # noqa: PLC0415 - as above

    try:
        value = parse(read_source(name, "--overlay").decode())
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise Misused(f"--overlay {name} is neither YAML nor JSON: {error}") from None
    if not isinstance(value, dict):
        raise Misused(f"--overlay {name} holds no mapping")
    return value


def message_of(name: str, body: dict[str, Any]) -> Message:
    """Returns the request of the RPC `name` that `body` is the JSON of.

    Raises:
        InvalidArgument: it is not; the fields at fault are named.

    """
    message = rpc(name).request()
    decode(body, message)
    return message


def _models(settings: Settings) -> NerEngine | None:
    """Returns the models that the settings name, once they are loaded."""
    if settings.ner_model_dir is settings.gliner_model_dir is None:
        return None
    from pdp.detect.ner import open_engine  # noqa: PLC0415 - few have any

    models = open_engine(
        settings.ner_model_dir, settings.gliner_model_dir, settings.ner_budget_ms / 1000
    )
    models.wait()
    return models


@contextmanager
def caller_for(options: TargetOptions, *, make: bool = False) -> Iterator[Client]:
    """Gives who is to answer.

    Args:
        options: who that is.
        make: whether a database without a server is made where it is not there.

    Raises:
        ConfigError: the database cannot be used.
        StoreUnavailable: it cannot be read or written now.

    """
    if options.embedded:
        from pdp.bootstrap.recording import RecordingOptions  # noqa: PLC0415 - as above
        from pdp.cli.databases import settings_for  # noqa: PLC0415 - as above
        from pdp.client.local import LocalClient  # noqa: PLC0415 - the engine, where it is needed
        from pdp.logs import logging_to_stderr  # noqa: PLC0415 - as above

        settings = settings_for(options.database_url, make=make)
        with (
            logging_to_stderr("warning"),
            LocalClient(
                settings.store_url,
                risk_file=settings.risk_file,
                records=RecordingOptions.of(settings),
                ner=_models(settings),
            ) as local,
        ):
            yield local
    else:
        from pdp.client.remote import RemoteClient  # noqa: PLC0415 - gRPC, where it is needed

        with RemoteClient(
            options.server,
            timeout_s=options.timeout,
            tls=options.client_tls(),
            credential=options.credential(),
        ) as remote:
            yield remote


@contextmanager
def ending(*, as_json: bool) -> Iterator[None]:
    """Ends the process with the exit code of what goes wrong, once that is said on stderr.

    Args:
        as_json: also write the error to standard output, as the server's HTTP does.

    """
    try:
        yield
    except Misused as misuse:
        complain(str(misuse), "See --help.")
        sys.exit(Exit.USAGE)
    except PdpError as error:
        failure, code = CallFailed.of(error), of_error(error)
    except CallFailed as error:
        failure, code = error, of_failure(error)
    else:
        return
    if as_json:
        print(json.dumps(failure.envelope(), ensure_ascii=False))
    complain(failure.message, _HINTS.get(failure.code, ""))
    sys.exit(code)
