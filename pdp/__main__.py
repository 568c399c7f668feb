"""`pdp`, and `python -m pdp`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Runs the command line.

    `pdp serve` and `pdp health` without options, as containers run them, have nothing to parse.
    They start without the parser, which is faster.
    """
    arguments = sys.argv[1:]
    if arguments == ["serve"]:
        from pdp.cli.run.serve import run_server  # noqa: PLC0415 - only what the command needs

        run_server({}, None)
    elif arguments == ["health"] and not any(name.startswith("PDP_TLS") for name in os.environ):
        from pdp.cli.run.health import probe  # noqa: PLC0415 - as above
        from pdp.environment import warn_of_variables  # noqa: PLC0415 - as above

        warn_of_variables(os.environ)
        probe()
    else:
        from pdp.cli.main import run  # noqa: PLC0415 - as above

        run()


if __name__ == "__main__":
    main()
