"""`pdp decide`."""

from __future__ import annotations

from typing import Final

from pdp.cli.options import Json, RequestOptions, TargetOptions, spread

EPILOG: Final = """
\b
Exit codes:
  0   allowed
  1   not allowed: BLOCK, CANCEL or PROMPT
  2   these options make no sense together
  3   the request is invalid
  4   the server, or its database, is not there to answer
  78  with --embedded: the database or the settings cannot be used

\b
Examples:
  pdp decide --text "1 UNION SELECT password FROM users"
  pdp decide --tool run_sql --arg sql="DROP TABLE users" --tenant acme --explain
  echo '{"content": {"text": "hello"}}' | pdp decide --request - --json
  pdp decide --embedded --database-url sqlite:///var/pdp.db --text hello
"""


@spread
def command(request: RequestOptions, target: TargetOptions, as_json: Json = False) -> None:
    """Ask whether a request is allowed, and why.

    The request comes from options, from a JSON file or from standard input. It is judged by a
    server, or, with --embedded, in this process on the database itself.
    """
    from pdp.cli.run.decide import decide  # noqa: PLC0415 - protobuf, once there is work to do

    decide(request, target, as_json=as_json)
