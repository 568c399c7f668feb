"""The container image, built from the Dockerfile and run by an OCI runtime.

Docker's engine is not needed: mmdebstrap makes a base image with Python, buildah builds the
Dockerfile on it, and runc runs what the image says. They need root. All of it is under
`build/image`, and the storage of other images is not touched.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.support.program_environments import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "build/image"
BASE: Final = "localhost/pdp-test-python"

BUILD_TIMEOUT_S: Final = 1800
AUTHORITIES: Final = Path("/etc/ssl/certs")

_NAMESPACES: Final = ("pid", "ipc", "uts", "mount")
_DEVICES: Final = ("nosuid", "strictatime", "mode=755", "size=65536k")
_TEMPORARY: Final = ("nosuid", "nodev", "mode=1777")
_MOUNTS: Final = (
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": _DEVICES},
    {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": _TEMPORARY},  # noqa: S108 - of the container
)


@dataclass(frozen=True)
class Image:
    """A built image.

    Attributes:
        name: its name in the storage.
        root: the folder with its files.
        size: of its own files and those of its base, in bytes.
        base_size: that of its base.
        config: `Env`, `Cmd`, `User`, `Healthcheck` and the rest, as Docker has them.
    """

    name: str
    root: Path
    size: int
    base_size: int
    config: Mapping[str, Any] = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """Its environment variables."""
        return dict(each.partition("=")[::2] for each in self.config["Env"])

    @property
    def health_check(self) -> tuple[str, ...]:
        """The command of its health check."""
        kind, *command = self.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        return tuple(command)


@contextmanager
def built_image(target: str) -> Iterator[Image]:
    """Builds a target of the Dockerfile.

    The test is skipped if a program is missing; in CI, it fails.
    """
    _require("buildah", "mmdebstrap", "runc")
    if os.geteuid() != 0:
        unavailable("buildah and runc need root here")
    _make_base()
    name = f"localhost/pdp-test-{target}"
    _build(name, target)
    container = buildah("from", name)
    try:
        root = Path(buildah("mount", container))
        details = json.loads(buildah("inspect", "--type", "image", name))
        yield Image(name, root, _size(root), _size_of_base(), details["Docker"]["config"])
    finally:
        buildah("rm", container)


def _require(*programs: str) -> None:
    missing = [each for each in programs if shutil.which(each) is None]
    if missing:
        unavailable(f"{' and '.join(missing)} must be installed (Debian packages)")


def buildah(*arguments: str) -> str:
    """Runs buildah on the storage of the tests; returns what it prints."""
    storage = ("--root", str(FOLDER / "storage"), "--runroot", str(FOLDER / "run"))
    return _output("buildah", *storage, "--storage-driver", "vfs", *arguments)


def _output(*command: str) -> str:
    result = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "BUILDAH_ISOLATION": "chroot"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    assert result.returncode == 0, f"{command}: {result.stdout[-2000:]}{result.stderr[-4000:]}"
    return result.stdout.strip()


def _exists(name: str) -> bool:
    images = buildah("images", "--format", "{{.Name}}").splitlines()
    return name in images


@cache
def _make_base() -> None:
    """Makes a base image with Debian's Python; it takes a minute, once."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if _exists(BASE):
        return
    archive = FOLDER / "base.tar"
    packages = "python3,python3-venv,ca-certificates"
    sources = map(str, Path("/etc/apt/sources.list.d").glob("*.sources"))
    options = ("--variant=minbase", f"--include={packages}")
    _output("mmdebstrap", *options, "bookworm", str(archive), *sources)
    container = buildah("from", "scratch")
    buildah("add", container, str(archive), "/")
    buildah("run", container, "--", "ln", "-s", "python3", "/usr/bin/python")
    buildah("commit", container, BASE)
    buildah("rm", container)
    archive.unlink()


@cache
def _rust() -> str:
    """Makes an image of the Rust that this machine has; returns its name."""
    _require("cargo", "rustc")
    toolchain = Path(_output("rustc", "--print", "sysroot"))
    name = f"localhost/pdp-test-rust-{_output('rustc', '--version').split()[1]}"
    if _exists(name):
        return name
    container = buildah("from", "scratch")
    buildah("add", container, str(toolchain / "bin"), "/usr/local/cargo/bin")
    buildah("add", container, str(toolchain / "lib"), "/usr/local/cargo/lib")
    buildah("add", container, str(toolchain / "etc"), "/usr/local/rustup")
    buildah("commit", container, name)
    buildah("rm", container)
    return name


def _build(name: str, target: str) -> None:
    rust = _rust() if target == "native" else BASE  # other targets do not use it
    # Builds reach the package index as this machine does; none of it is in the image.
    pip = FOLDER / "pip.conf"
    index = os.environ.get("PIP_INDEX_URL")
    options = [f"cert = {AUTHORITIES / 'ca-certificates.crt'}"]
    if index:
        options.append(f"index-url = {index}")
    pip.write_text("\n".join(["[global]", *options, ""]), encoding="utf-8")
    buildah(
        *("bud", "--format", "docker", "--network", "host", "--tag", name, "--target", target),
        *("--volume", f"{AUTHORITIES}:{AUTHORITIES}:ro", "--volume", f"{pip}:/etc/pip.conf:ro"),
        *("--build-arg", f"PYTHON_IMAGE={BASE}", "--build-arg", f"RUST_IMAGE={rust}", "."),
    )
    buildah("rmi", "--prune", "--force")  # what this build has replaced


def _size(root: Path) -> int:
    return sum(each.lstat().st_size for each in root.rglob("*") if not each.is_dir())


@cache
def _size_of_base() -> int:
    container = buildah("from", BASE)
    try:
        return _size(Path(buildah("mount", container)))
    finally:
        buildah("rm", container)


class Container:
    """An image that runs as a cluster would run it, with nothing that it does not need.

    Its root file system is read-only, it has no capability and can gain none. It can write to the
    data directory and to `/tmp`. It shares the network of this machine, unless it is isolated.
    """

    def __init__(self, image: Image, folder: Path, *, isolated: bool = False) -> None:
        """Prepares the container.

        Args:
            image: what runs.
            folder: an empty folder of the test; the data directory is in it.
            isolated: whether it has a network of its own, with only loopback.
        """
        self._image = image
        self._folder = folder
        self._namespaces = (*_NAMESPACES, *(("network",) if isolated else ()))
        self._id = f"pdp-test-{os.getpid()}-{folder.name}"
        self.data_dir = folder / "data"
        self.data_dir.mkdir(mode=0o700, parents=True)
        user = int(image.config["User"])
        os.chown(self.data_dir, user, user)

    def command(self, *arguments: str, **settings: str) -> tuple[str, ...]:
        """Returns the command that runs the container.

        Args:
            *arguments: what runs in it; by default, what the image says.
            **settings: environment variables beside those of the image.
        """
        config = self._config(arguments or tuple(self._image.config["Cmd"]), settings)
        (self._folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return (*self._runc(), "run", "--bundle", str(self._folder), self._id)

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in a new container until it ends."""
        return _finished(self.command(*arguments, **settings))

    def execute(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the running container."""
        return _finished((*self._runc(), "exec", self._id, *arguments))

    def stop(self) -> None:
        """Sends the signal with which an engine stops the image."""
        _finished((*self._runc(), "kill", self._id, self._image.config["StopSignal"]))

    def _runc(self) -> Sequence[str]:
        return ("runc", "--root", str(FOLDER / "runc"))

    def _config(self, arguments: Sequence[str], settings: Mapping[str, str]) -> dict[str, Any]:
        user = int(self._image.config["User"])
        data = {"destination": self._image.environment["PDP_DATA_DIR"], "type": "bind"}
        volume = {**data, "source": str(self.data_dir), "options": ("bind", "nosuid", "nodev")}
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": user, "gid": user},
                "args": list(arguments),
                "env": [f"{k}={v}" for k, v in {**self._image.environment, **settings}.items()],
                "cwd": "/",
                "capabilities": {},
                "noNewPrivileges": True,
            },
            "root": {"path": str(self._image.root), "readonly": True},
            "mounts": [*_MOUNTS, volume],
            "linux": {"namespaces": [{"type": each} for each in self._namespaces]},
        }


def _finished(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
