"""`pdp simulate`."""

from __future__ import annotations

from typing import Final

from pdp.cli.options.common import ApiJson, OverlayFile  # noqa: TC001 - read by typer
from pdp.cli.options.request import RequestOptions  # noqa: TC001 - read by typer
from pdp.cli.options.spread import spread
from pdp.cli.options.target import TargetOptions  # noqa: TC001 - read by typer

EPILOG: Final = """
\b
Exit codes:
  0   the request would be allowed
  1   the request would not be allowed: BLOCK, CANCEL, ESCALATE or PROMPT
  2   the options do not fit together
  3   the request or the overlay is invalid
  4   the server or its database is not available
  78  with --embedded: the database or the settings cannot be used

\b
An overlay holds candidate policies in the form of the REST objects. For this request only, each
replaces the policy with the same id or name, or is added if there is none:
  static_policies:
    - {name: No rivals, pattern: "(?i)rival-product", action: block}
"""


@spread
def command(
    request: RequestOptions,
    target: TargetOptions,
    overlay: OverlayFile = None,
    as_json: ApiJson = False,
) -> None:
    """Show the decision that candidate policies would lead to.

    Every layer reports its result. Nothing is written, consumed or recorded.
    """
    from pdp.cli.run.simulate import simulate  # noqa: PLC0415 - loads protobuf

    simulate(request, target, overlay, as_json=as_json)
