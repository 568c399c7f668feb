"""What a running server says of itself: whether it is ready, and what it listens on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.audit.recorder import Recorder
    from pdp.decisions.record_builder import Recordable


class Readiness:
    """Whether the server accepts calls; read by `/readyz`.

    Attributes:
        open: the policies are loaded, and the server listens.
        draining: the server stops.
        models: returns the state of each model, by its kind.
        recorder: records decisions; None until it is created.
        exports: returns the state of the exports, by their names in `/readyz`.
        store: returns whether the store of policies can be read; decisions go on if not.
        saved_policies: returns whether policies are saved; None if they are not to be.
    """

    def __init__(self) -> None:
        self.open = False
        self.draining = False
        self.models: Callable[[], Mapping[str, str]] = dict
        self.recorder: Recorder[Recordable] | None = None
        self.exports: Callable[[], Mapping[str, str]] = dict
        self.store: Callable[[], str] | None = None
        self.saved_policies: Callable[[], str] | None = None

    @property
    def serving(self) -> bool:
        """Whether the server accepts calls. It does not if decisions can no longer be recorded."""
        return self.open and (self.recorder is None or self.recorder.alive)

    def checks(self) -> Mapping[str, str]:
        """Returns the state of each part that readiness depends on."""
        return {
            "snapshot": "loaded" if self.open or self.draining else "not loaded",
            "drain": "draining" if self.draining else "no",
            **({"store": self.store()} if self.store else {}),
            **({"saved_policies": self.saved_policies()} if self.saved_policies else {}),
            **({"audit": self.recorder.status()} if self.recorder else {}),
            **{f"model_{kind}": state for kind, state in self.models().items()},
            **self.exports(),
        }


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A running server.

    Attributes:
        grpc_address, http_address: the addresses that it listens on, with the actual ports.
        revision: the revision of the policies in force.
        system_policies: how many policies ship with the product.
        locked: credentials are required, but there are none yet.
    """

    grpc_address: str
    http_address: str
    revision: int
    system_policies: int
    locked: bool = False
