"""`make fast`: builds pygrpc-native with the limits of the server, and installs it.

The published wheels read a message of any size into memory before a server can refuse it, and give
a connection 120 s for its first bytes (docs/grpc-fronts.md). Both are constants of the Rust source.
This module downloads the source distribution that `requirements/fast.txt` pins, sets them, marks
the version, and builds a wheel. The build needs `cargo`, 1.88 or newer; Cargo.lock in the source
distribution pins each crate by its hash.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from pdp.transport.grpc.limits import HANDSHAKE_TIMEOUT_MS, MAX_MESSAGE_BYTES
from pdp.transport.grpc.native_package import PACKAGE, VERSION

ROOT: Final = Path(__file__).parents[1]
PINS: Final = ROOT / "requirements" / "fast.txt"

_TOO_LARGE: Final = """
// The server's status for a message over the limit; tonic's is OUT_OF_RANGE.
fn exhausted(
    mut response: http::Response<tonic::body::Body>,
) -> http::Response<tonic::body::Body> {
    if let Some(status) = response.headers_mut().get_mut("grpc-status") {
        if status.as_bytes() == b"11" {
            *status = http::HeaderValue::from_static("8");
        }
    }
    response
}
"""

_CHANGES: Final = {
    "Cargo.toml": (('version = "{upstream}"', 'version = "{version}"'),),
    "Cargo.lock": (
        (
            'name = "pygrpc_native"\nversion = "{upstream}"',
            'name = "pygrpc_native"\nversion = "{version}"',
        ),
    ),
    "src/server.rs": (
        (".max_decoding_message_size(usize::MAX)", ".max_decoding_message_size({max_bytes})"),
        (
            "HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(120)",
            "HANDSHAKE_TIMEOUT: Duration = Duration::from_millis({handshake_ms})",
        ),
        (
            "with_extra_trailers(grpc(sizes).unary(call, request).await)",
            "with_extra_trailers(exhausted(grpc(sizes).unary(call, request).await))",
        ),
    ),
}
"""What is replaced in which file. Each text must occur exactly once."""


def main() -> None:
    """Builds the wheel and installs it."""
    if shutil.which("cargo") is None:
        sys.exit("make fast: cargo is missing. Install Rust 1.88 or newer.")
    with tempfile.TemporaryDirectory(prefix="pdp-fast-") as name:
        folder = Path(name)
        _pip("install", "--require-hashes", "--only-binary", "maturin", *_only("maturin", folder))
        source = _source(folder)
        apply_changes(source)
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", name, str(source))
        (wheel,) = folder.glob("*.whl")
        _pip("install", "--no-deps", "--no-index", "--force-reinstall", str(wheel))
    _pip("uninstall", "--yes", "maturin")


def apply_changes(source: Path) -> None:
    """Sets the limits in the unpacked source distribution.

    Raises:
        SystemExit: a text does not occur exactly once, so this is another version.
    """
    values = {
        "{upstream}": VERSION.partition("+")[0],
        "{version}": VERSION,
        "{max_bytes}": str(MAX_MESSAGE_BYTES),
        "{handshake_ms}": str(HANDSHAKE_TIMEOUT_MS),
    }
    for name, changes in _CHANGES.items():
        path = source / name
        text = path.read_text(encoding="utf-8")
        for old, new in changes:
            if text.count(_filled(old, values)) != 1:
                sys.exit(f"make fast: {name} has changed: {old!r} does not occur once.")
            text = text.replace(_filled(old, values), _filled(new, values))
        path.write_text(text, encoding="utf-8")
    with (source / "src" / "server.rs").open("a", encoding="utf-8") as server:
        server.write(_TOO_LARGE)


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _source(folder: Path) -> Path:
    _pip(
        "download", "--require-hashes", "--no-deps", "--no-build-isolation", "--no-binary", PACKAGE,
        "--dest", str(folder), *_only(PACKAGE, folder),
    )  # fmt: skip
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        if hasattr(tarfile, "data_filter"):
            files.extractall(folder, filter="data")
        else:  # Python 3.11.0 to 3.11.3; the archive is the one that the hash names
            files.extractall(folder)  # noqa: S202
    return folder / archive.name.removesuffix(".tar.gz")


def _only(package: str, folder: Path) -> tuple[str, str]:
    """Returns the option of pip for the pins of one package."""
    pins = PINS.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    path = folder / f"{package}.txt"
    path.write_text("\n".join(each for each in pins if each.startswith(f"{package}==")))
    return "--requirement", str(path)


def _pip(*arguments: str) -> None:
    options = ("--quiet", "--disable-pip-version-check")
    search_path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    subprocess.run(  # noqa: S603 - the arguments are those above
        [sys.executable, "-m", "pip", *arguments, *options],
        check=True,
        env={**os.environ, "PATH": search_path},
    )


if __name__ == "__main__":
    main()
