"""`pdp decide`."""

from __future__ import annotations

from typing import Final

from pdp.cli.options.common import ApiJson  # noqa: TC001 - read by typer
from pdp.cli.options.request import RequestOptions  # noqa: TC001 - read by typer
from pdp.cli.options.spread import spread
from pdp.cli.options.target import TargetOptions  # noqa: TC001 - read by typer

EPILOG: Final = """
\b
Exit codes:
  0   allowed
  1   not allowed: BLOCK, CANCEL, ESCALATE or PROMPT
  2   the options do not fit together
  3   the request is invalid
  4   the server or its database is not available
  78  with --embedded: the database or the settings cannot be used

\b
Examples:
  pdp decide --text "1 UNION SELECT password FROM users"
  pdp decide --tool run_sql --arg sql="DROP TABLE users" --tenant acme --explain
  echo '{"content": {"text": "hello"}}' | pdp decide --request - --json
  pdp decide --payload chat.json --format openai.chat_completions --history latest
  pdp decide --embedded --database-url sqlite:///var/pdp.db --text hello
"""


@spread
def command(request: RequestOptions, target: TargetOptions, as_json: ApiJson = False) -> None:
    """Show whether a request is allowed, and why.

    The request comes from options, a JSON file or standard input. A server decides; with
    --embedded, this process decides and reads the database itself.
    """
    from pdp.cli.run.decide import decide  # noqa: PLC0415 - loads protobuf

    decide(request, target, as_json=as_json)
