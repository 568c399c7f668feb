"""The mapping file of adapters: which route carries what, who asks, and what answers look like."""

from __future__ import annotations

from pdp.adapters.mapping.context import Context, fill_context
from pdp.adapters.mapping.hooks import Answer, Answers, Hook
from pdp.adapters.mapping.reading import (
    InvalidMapping,
    MappingFile,
    PlacedFault,
    find_faults,
    load_mapping,
    read_mapping,
)
from pdp.adapters.mapping.refusals import ClientRefusal, Refusal, refusal_of, refusal_of_error
from pdp.adapters.mapping.routes import (
    MappedRoute,
    Route,
    RouteConditions,
    RouteMatch,
    find_route,
    payload_format,
)
from pdp.adapters.mapping.sources import Source, SourceView
from pdp.adapters.mapping.verdicts import added_headers, may_pass

__all__ = [
    "Answer",
    "Answers",
    "ClientRefusal",
    "Context",
    "Hook",
    "InvalidMapping",
    "MappedRoute",
    "MappingFile",
    "PlacedFault",
    "Refusal",
    "Route",
    "RouteConditions",
    "RouteMatch",
    "Source",
    "SourceView",
    "added_headers",
    "fill_context",
    "find_faults",
    "find_route",
    "load_mapping",
    "may_pass",
    "payload_format",
    "read_mapping",
    "refusal_of",
    "refusal_of_error",
]
