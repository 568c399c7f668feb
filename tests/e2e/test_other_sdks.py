"""`pdp` and `pdp_client` beside the SDKs of other products, in one process.

The SDKs of SpiceDB and Cerbos bring their own copies of `buf/validate/validate.proto`.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent.parent
PACKAGES: Final = ("authzed==1.25.0", "cerbos==0.16.1")
INSTALL_TIMEOUT_S: Final = 300

IMPORTS: Final = {
    "spicedb": "from authzed.api.v1 import CheckPermissionRequest; CheckPermissionRequest()",
    "cerbos": "from cerbos.sdk.grpc.client import CerbosClient",
    "pdp": (
        "import pdp.transport.grpc.server, pdp.transport.http.server\n"
        "from pdp import Engine\n"
        "from pdp._gen.pdp.v1 import decide_pb2\n"
        "from pdp.errors import InvalidArgument\n"
        "from pdp.messages.validation import validate\n"
        "try:\n"
        "    validate(decide_pb2.DecideRequest(action='NOT AN ACTION'))\n"
        "except InvalidArgument as error:\n"
        "    assert 'action' in str(error)\n"
        "else:\n"
        "    raise AssertionError('the rules of the contract are missing')\n"
    ),
    "pdp_client": "import pdp_client; pdp_client.DecideRequest(action='a:b:c')",
}
"""Imports each package, and uses it."""


@pytest.fixture(scope="module")
def sdks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the SDKs; the test is skipped if the package index cannot be reached."""
    target = tmp_path_factory.mktemp("sdks")
    command = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "0")
    try:
        result = subprocess.run(
            (sys.executable, *command, "--only-binary", ":all:", "--target", target, *PACKAGES),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("the package index did not answer in time")
    if result.returncode != 0:
        pytest.skip(f"the SDKs cannot be installed: {result.stderr.strip().splitlines()[-1]}")
    return target


ORDERS: Final = [
    *(
        pair
        for each in ("pdp", "pdp_client")
        for sdk in ("spicedb", "cerbos")
        for pair in itertools.permutations((each, sdk))
    ),
    ("pdp", "pdp_client", "spicedb", "cerbos"),
    ("cerbos", "spicedb", "pdp_client", "pdp"),
]


@pytest.mark.programs
@pytest.mark.parametrize("order", ORDERS, ids=" then ".join)
def test_packages_can_be_imported_in_any_order(sdks: Path, order: tuple[str, ...]) -> None:
    path = os.pathsep.join(map(str, (sdks, ROOT, ROOT / "clients" / "python")))
    result = subprocess.run(
        (sys.executable, "-c", "\n".join(IMPORTS[each] for each in order)),
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )
    assert result.returncode == 0, result.stderr
