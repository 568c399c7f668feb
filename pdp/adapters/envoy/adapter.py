"""The adapter of Envoy: its two RPCs, if there is a mapping file with routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.adapters.envoy.authorization import Authorization
from pdp.adapters.envoy.contract import CHECK, PROCESS
from pdp.adapters.envoy.judgement import Judge
from pdp.adapters.envoy.processing import Processing
from pdp.transport.foreign import foreign_handler, foreign_method

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.adapters.mapping import Route
    from pdp.transport.call import Handler
    from pdp.transport.decide_port import DecidePort
    from pdp.transport.methods import Method


def methods() -> dict[str, Method]:
    """Returns the RPCs of Envoy's contracts, by gRPC path."""
    return {each.path: each for each in map(foreign_method, (CHECK, PROCESS))}


def handlers(port: DecidePort, routes: tuple[Route, ...]) -> Mapping[str, Handler]:
    """Returns how the RPCs are handled, by gRPC path.

    Args:
        port: asks for decisions.
        routes: of the mapping file.
    """
    judge = Judge(port, routes)
    authorization, processing = Authorization(judge), Processing(judge)
    check, process = methods()
    return {
        check: foreign_handler(authorization.check),
        process: foreign_handler(processing.process),
    }
