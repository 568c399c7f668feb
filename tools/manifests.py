"""`make manifests`: writes `deploy/kubernetes` from the Helm chart.

Each file in the chart's folder `ci` has values; the plain manifest of the same name is what Helm
renders with them, without what only Helm needs.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
CHART: Final = ROOT / "deploy/helm/pdp"
VALUES: Final = CHART / "ci"
MANIFESTS: Final = ROOT / "deploy/kubernetes"

KUBERNETES: Final = "1.30.0"
"""The oldest version that the chart supports."""

_OF_HELM: Final = re.compile(
    r"^(# Source: .*| +app\.kubernetes\.io/managed-by: .*| +helm\.sh/chart: .*)\n", re.MULTILINE
)


def render(helm: Path, values: Path) -> str:
    """Returns the plain manifest for a file of values.

    Args:
        helm: the program.
        values: the file.

    Raises:
        subprocess.CalledProcessError: Helm refuses the values.
    """
    rendered = subprocess.run(  # noqa: S603 - the program that make has built
        [str(helm), "template", "pdp", str(CHART), "--kube-version", KUBERNETES, "-f", str(values)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    comments = [
        line for line in values.read_text(encoding="utf-8").splitlines() if line.startswith("#")
    ]
    header = "\n".join([*comments, "# Rendered from the Helm chart by `make manifests`.", ""])
    return header + _OF_HELM.sub("", rendered)


def main() -> None:
    """Writes the manifest of each file of values."""
    (helm,) = sys.argv[1:]
    MANIFESTS.mkdir(exist_ok=True)
    for values in sorted(VALUES.glob("*.yaml")):
        (MANIFESTS / values.name).write_text(render(Path(helm), values), encoding="utf-8")


if __name__ == "__main__":
    main()
