"""Provides the `.proto` files of other projects that the contracts import.

The repository holds only its own contracts. The imports come from pinned packages:

* `google/api/*.proto` from the installed wheel `googleapis-common-protos`.
* `buf/validate/validate.proto` from the Maven artifact `build.buf:protovalidate`.

`python -m tools.protos imports` writes the imports to `build/protos`, for `make generate` and
`make lint`. `python -m tools.protos tree` (`make protos`) writes the contracts and the imports to
`dist/protos`, for users of protoc and buf and for the client package.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
CONTRACTS: Final = ROOT / "proto"
IMPORTS: Final = ROOT / "build/protos"
TREE: Final = ROOT / "dist/protos"

VALIDATE: Final = "buf/validate/validate.proto"
GOOGLE_API: Final = ("google/api/annotations.proto", "google/api/http.proto")

_JAR: Final = "protovalidate-1.3.0.jar"
_ARTIFACT: Final = "build.buf:protovalidate:1.3.0"
_SHA256: Final = "fc65013a322d9b390759670b454c05f94579c49a40dff872143dfba831ebbdc2"
_COPY: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
_BUF_YAML: Final = "version: v2\nmodules:\n  - path: .\n"


def write_imports() -> None:
    """Writes the imported files to `build/protos`.

    Raises:
        SystemExit: Maven is not installed or fails, or the artifact is not the pinned one.
    """
    jar = _protovalidate_jar(IMPORTS.parent)
    shutil.rmtree(IMPORTS, ignore_errors=True)
    with zipfile.ZipFile(jar) as archive:
        archive.extract(VALIDATE, IMPORTS)
    wheel = distribution("googleapis-common-protos")
    for name in GOOGLE_API:
        target = IMPORTS / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(wheel.locate_file(name)), target)


def write_tree() -> None:
    """Writes the contracts and the imported files to `dist/protos`."""
    shutil.rmtree(TREE, ignore_errors=True)
    shutil.copytree(IMPORTS, TREE)
    shutil.copytree(CONTRACTS / "pdp", TREE / "pdp")
    shutil.copyfile(ROOT / "LICENSE", TREE / "LICENSE")
    (TREE / "buf.yaml").write_text(_BUF_YAML, encoding="utf-8")


def _protovalidate_jar(folder: Path) -> Path:
    """Returns the path of the pinned artifact, which is downloaded if `folder` lacks it."""
    jar = folder / _JAR
    if not jar.exists():
        _download(folder)
    digest = hashlib.sha256(jar.read_bytes()).hexdigest()
    if digest != _SHA256:
        jar.unlink()
        raise SystemExit(
            f"{_ARTIFACT}: the SHA-256 is {digest}, but {_SHA256} is pinned. The file is deleted; "
            f"check the Maven repository or its mirror, then try again."
        )
    return jar


def _download(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise SystemExit(
            f"mvn is not installed: {VALIDATE} comes from the Maven artifact {_ARTIFACT}. "
            "Install Maven (for instance 'apt-get install maven'), then try again. "
            "'make run' and 'make test' do not need it."
        )
    command = [
        maven,
        "-B",
        "-q",
        "-Dstyle.color=never",
        _COPY,
        f"-Dartifact={_ARTIFACT}",
        f"-DoutputDirectory={folder}",
    ]
    if subprocess.run(command, check=False).returncode:  # noqa: S603 - no input but constants
        raise SystemExit(f"Maven cannot download {_ARTIFACT}: see its messages above.")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["imports"]:
            write_imports()
        case ["tree"]:
            write_tree()
        case _:
            raise SystemExit("usage: python -m tools.protos imports|tree")
