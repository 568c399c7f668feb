"""Which front a gRPC server gets (pdp.transport.grpc.fronts), and what `make fast` builds."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING

import pytest

from pdp.errors import ConfigError
from pdp.transport.grpc import fronts
from pdp.transport.grpc.fronts import create_front, obstacle_to_native
from pdp.transport.grpc.native_package import VERSION
from pdp.transport.grpc.server import GrpcServer
from tools.fast import apply_changes

if TYPE_CHECKING:
    from pathlib import Path

SERVER_RS = """
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(120);
        .max_decoding_message_size(usize::MAX)
            with_extra_trailers(grpc(sizes).unary(call, request).await)
"""


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The installed version of the package, by the key `version`; empty for none."""
    versions = {"version": VERSION}

    def version(name: str) -> str:
        if not versions["version"]:
            raise PackageNotFoundError(name)
        return versions["version"]

    monkeypatch.setattr(fronts, "version", version)
    return versions


def test_the_build_with_limits_has_no_obstacle(installed: dict[str, str]) -> None:
    assert obstacle_to_native(tls=False) is None


@pytest.mark.parametrize(
    ("version", "tls", "reason"),
    [
        (VERSION, True, "it has no TLS, and PDP_TLS_CERT_FILE is set"),
        ("", False, "pygrpc-native is not installed. Run `make fast`"),
        ("0.5.0", False, "pygrpc-native 0.5.0 is installed, which does not limit"),
        ("0.6.0", False, "pygrpc-native 0.6.0 is installed, which does not limit"),
    ],
)
async def test_what_native_cannot_honour_is_refused_and_auto_takes_grpcio(
    installed: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    version: str,
    tls: bool,
    reason: str,
) -> None:
    installed["version"] = version
    with pytest.raises(ConfigError, match="PDP_GRPC_SERVER: native cannot be used") as error:
        create_front("native", {}, {}, tls=tls)
    assert reason in error.value.message
    assert isinstance(create_front("auto", {}, {}, tls=tls), GrpcServer)
    assert isinstance(create_front("grpcio", {}, {}, tls=tls), GrpcServer)


def source(folder: Path, server: str = SERVER_RS) -> Path:
    """Writes the files that `make fast` changes."""
    (folder / "src").mkdir()
    (folder / "Cargo.toml").write_text('version = "0.5.0"\n')
    (folder / "Cargo.lock").write_text('name = "pygrpc_native"\nversion = "0.5.0"\n')
    (folder / "src" / "server.rs").write_text(server)
    return folder


def test_make_fast_sets_the_limits_and_marks_the_version(tmp_path: Path) -> None:
    apply_changes(source(tmp_path))
    server = (tmp_path / "src" / "server.rs").read_text()
    assert ".max_decoding_message_size(8388608)" in server
    assert "Duration::from_millis(20000);" in server
    assert f'version = "{VERSION}"' in (tmp_path / "Cargo.toml").read_text()
    assert f'version = "{VERSION}"' in (tmp_path / "Cargo.lock").read_text()


def test_make_fast_refuses_another_source(tmp_path: Path) -> None:
    other = SERVER_RS.replace("usize::MAX", "4194304")
    with pytest.raises(SystemExit, match="max_decoding_message_size"):
        apply_changes(source(tmp_path, other))
