"""The gRPC fronts as parameters of tests: grpcio, and the native one if it is installed."""

from __future__ import annotations

from typing import Any, Final

import pytest

from pdp.transport.grpc.fronts import obstacle_to_native

OBSTACLE: Final = obstacle_to_native(tls=False)

needs_native: Final = pytest.mark.skipif(
    OBSTACLE is not None, reason=f"no native front: {OBSTACLE}"
)

FRONTS: Final[list[Any]] = ["grpcio", pytest.param("native", marks=needs_native)]
