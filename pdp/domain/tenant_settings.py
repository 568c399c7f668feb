"""Tenant settings: what policies cannot decide, and what requests must have (docs/decide.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KIND: Final = "tenant_settings"
ID: Final = "tenant_settings"
"""A tenant has one such entity."""

DOCUMENT_TOOLS: Final = ("write_file", "edit_file", "create_issue", "create_pull_request")
"""The tools that write documents, if a tenant names no others."""


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """A tenant's settings. The defaults hold until the tenant changes them.

    Attributes:
        failure_mode: `closed` blocks requests that could not be evaluated. `open` lets them pass
            and marks the decisions as incomplete.
        unknown_customer: the outcome of a request for a customer that does not exist.
        unknown_model: the outcome of a request for a model that the catalog does not know.
        max_timestamp_skew_s: how far the `timestamp` of a request may be from the server's clock,
            in seconds; 0 for no bound.
        require_customer: whether a request must name a customer.
        exceptions_need_approval: whether another person must approve each exception.
        permanent_exceptions: whether an exception may have no end.
        document_tools: the tools that write documents; None for `DOCUMENT_TOOLS`. A document may
            mention what is blocked elsewhere in arguments.
        sample_rate: the share of the decisions that the logging level does not record which is
            recorded nevertheless, from 0 to 1.
        unjudged: the outcome of a payload with images, audio or files; empty means `warn`.
        tool_actions: the actions of tool calls in payloads: mappings with `tool` and `action`;
            None for none.
    """

    failure_mode: Literal["closed", "open"] = "closed"
    unknown_customer: Literal["block", "warn"] = "block"
    unknown_model: Literal["allow", "block"] = "allow"
    max_timestamp_skew_s: int = 0
    require_customer: bool = False
    exceptions_need_approval: bool = False
    permanent_exceptions: bool = False
    document_tools: Sequence[str] | None = None
    sample_rate: float = 0.0
    unjudged: Literal["", "warn", "block"] = ""
    tool_actions: Sequence[Mapping[str, str]] | None = None

    @property
    def tools_for_documents(self) -> Sequence[str]:
        """The tools that write documents."""
        return DOCUMENT_TOOLS if self.document_tools is None else self.document_tools


DEFAULT_SETTINGS: Final = TenantSettings()


def body_of(settings: TenantSettings) -> dict[str, Any]:
    """Returns the fields of `settings` as the store keeps them."""
    return {name: getattr(settings, name) for name in settings.__slots__}
