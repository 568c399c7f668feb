"""`pdp`, and `python -m pdp`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Runs the command line.

    Containers run `pdp serve` and `pdp health` without options. These two start without the parser,
    because there is nothing to parse.
    """
    arguments = sys.argv[1:]
    if arguments == ["serve"]:
        from pdp.cli.run.serve import run_server  # noqa: PLC0415 - loads only what the command needs

        run_server({}, None)
    elif arguments == ["health"] and not any(name.startswith("PDP_TLS") for name in os.environ):
        from pdp.cli.run.health import check_health  # noqa: PLC0415 - as above
        from pdp.environment import warn_of_variables  # noqa: PLC0415 - as above

        warn_of_variables(os.environ)
        check_health()
    else:
        from pdp.cli.main import run  # noqa: PLC0415 - as above

        run()


if __name__ == "__main__":
    main()
