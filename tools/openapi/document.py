"""Builds the OpenAPI 3.1 document from annotations, bounds, JSON forms and comments."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from pdp._gen.pdp.v1 import decide_pb2
from pdp.transport.http.binding import WHOLE, Binding, bindings
from pdp.transport.http.headers import NDJSON
from pdp.transport.http.responses import CONTENT_TYPE, NO_CONTENT
from pdp.transport.methods import methods, services
from pdp.transport.write_warnings import has_warnings
from tools.openapi.comments import first_sentence
from tools.openapi.errors import (
    add_error_schema,
    error_examples,
    error_responses,
    is_conditional,
)
from tools.openapi.schemas import SchemaRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf.descriptor import Descriptor

    from tools.openapi.bounds import JsonSchema

_DESCRIPTION: Final = """\
Decide whether AI traffic may pass, and administer the policies.

Field names are snake_case. lowerCamelCase is accepted too; unknown names are refused. A null \
field counts as absent. All errors have the same envelope, \
`{"error": {"code", "message", "details"}}`. A trailing slash in a path is ignored.

This JSON is not ProtoJSON. With the header `Accept: application/json;profile=protojson`, answers \
are canonical ProtoJSON, except errors; requests keep the form that this document describes.

`POST /v1/decide/payload/{format}` and the routes of adapters take documents of others as they \
are: docs/payloads.md and docs/integrations describe them."""

_SECURITY_SCHEMES: Final = {
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key. The `x-access` of an operation names who may call it.",
    },
    "Bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key or a signed token (JWT).",
    },
}
"""Development mode needs no credential."""

_INFO: Final = {
    "title": "pdp",
    "summary": "A policy decision point for AI traffic.",
    "description": _DESCRIPTION,
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
_REQUEST_ID: Final = {
    "description": "The ID of this request: the caller's ID, or an ID that the server generated.",
    "schema": {"type": "string"},
}
_ETAG: Final = {
    "description": "The revision of the last change of the entity, in quotes; see `If-Match`.",
    "schema": {"type": "string"},
    "example": '"42"',
}
_WARNINGS: Final = {
    "description": (
        "What the author of the policy may not expect, as a JSON array of `WriteWarning`. It is "
        "absent if there is nothing to warn of."
    ),
    "schema": {"type": "string"},
}

_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "description": (
        "The revisions that the entity may have, as `ETag` values, or `*` for any revision. If the "
        "entity has another revision, the request changes nothing."
    ),
    "schema": {
        "type": "string",
        "pattern": r'^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*"){0,99})$',
    },
    "example": '"42"',
}


def build_document(comments: Mapping[str, str], version: str) -> dict[str, Any]:
    """Returns the document with all routes.

    Args:
        comments: the comments of the contracts, by full name.
        version: the version of this release.

    Raises:
        TypeError: the document cannot express a part of the contracts.
        KeyError: an element has no comment.
    """
    routes = list(_routes())
    inputs = [each.method.descriptor.input_type for each in routes]
    outputs = [each.method.descriptor.output_type for each in routes]
    registry = SchemaRegistry(comments, inputs, outputs)
    add_error_schema(registry)
    errors: dict[str, Any] = {}
    paths = _paths(routes, registry, errors)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {**_INFO, "version": version},
        "servers": [{"url": "/"}],
        "tags": [
            {"name": each.name, "description": comments[each.full_name]} for each in services()
        ],
        "security": [{name: []} for name in _SECURITY_SCHEMES],
        "paths": paths,
        "components": {
            "securitySchemes": _SECURITY_SCHEMES,
            "schemas": registry.schemas(),
            "parameters": {"TenantID": _tenant_header(registry), "IfMatch": _IF_MATCH},
            "headers": {"RequestID": _REQUEST_ID, "ETag": _ETAG, "Warnings": _WARNINGS},
            "responses": dict(sorted(errors.items())),
            "examples": error_examples(registry),
        },
    }


def render(document: dict[str, Any]) -> str:
    """Returns the text of the document."""
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _routes() -> Iterator[Binding]:
    for method in methods():
        if not method.bidirectional:
            yield from bindings(method)


def _paths(
    routes: list[Binding], registry: SchemaRegistry, errors: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    examples = _examples()
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        example = examples.get(route.method.name, {})
        operation = _operation(route, registry, example)
        operation["responses"] = {
            str(route.method.success_status): _success(route, registry, example),
            **error_responses(route, registry, errors),
        }
        paths.setdefault(route.template, {})[route.http_method.lower()] = operation
    for operations in paths.values():
        _add_etags(operations)
    return paths


def _add_etags(operations: Mapping[str, Any]) -> None:
    """Adds the `ETag` header to the operations of an entity, if the entity can be changed."""
    if operations.keys() & {"put", "patch"}:
        for verb in operations.keys() & {"get", "put", "patch"}:
            # The first response is the success.
            success = next(iter(operations[verb]["responses"].values()))
            success.setdefault("headers", {})["ETag"] = {"$ref": "#/components/headers/ETag"}


def _tenant_header(registry: SchemaRegistry) -> dict[str, Any]:
    field = decide_pb2.DecideRequest.DESCRIPTOR.fields_by_name["tenant_id"]
    return {
        "name": "X-Tenant-ID",
        "in": "header",
        "description": "The tenant to act for. If it is empty, it is the tenant of the credential.",
        "schema": registry.parameter(field),
        "example": "my-tenant",
    }


def _examples() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("examples.json").read_text(encoding="utf-8")
    examples: dict[str, Any] = json.loads(text)
    return examples


def _operation(
    route: Binding, registry: SchemaRegistry, example: Mapping[str, Any]
) -> dict[str, Any]:
    method = route.method
    service = method.service.rpartition(".")[2]
    comment = registry.describe(f"{method.service}.{method.name}")
    operation: dict[str, Any] = {
        "operationId": method.name,
        "tags": [service],
        "summary": first_sentence(comment),
        "description": comment,
        "parameters": [
            *_path_parameters(route, registry, example),
            *_query_parameters(route, registry),
            {"$ref": "#/components/parameters/TenantID"},
        ],
    }
    operation["x-access"] = {"role": method.role, "scope": method.scope}
    if also := sorted(method.callers - {method.role}):
        operation["x-access"]["also"] = also
    if is_conditional(route):
        operation["parameters"].append({"$ref": "#/components/parameters/IfMatch"})
    if route.body:
        operation["requestBody"] = _body(route, registry, example)
    return operation


def _path_parameters(
    route: Binding, registry: SchemaRegistry, example: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    for each in route.path:
        parameter = {
            "name": each.name,
            "in": "path",
            "required": True,
            "description": registry.describe(each.field.full_name),
            "schema": {"minLength": 1, **registry.parameter(each.field)},
        }
        value = example.get("path", {}).get(each.name)
        yield parameter if value is None else {**parameter, "example": value}


def _query_parameters(route: Binding, registry: SchemaRegistry) -> Iterator[dict[str, Any]]:
    for name, each in route.query.items():
        if name == each.name:  # not the lowerCamelCase alias
            yield {
                "name": name,
                "in": "query",
                "description": registry.describe(each.field.full_name),
                "schema": registry.parameter(each.field),
            }


def _body(route: Binding, registry: SchemaRegistry, example: Mapping[str, Any]) -> dict[str, Any]:
    message = route.method.descriptor.input_type
    if route.body == WHOLE:
        path = frozenset(each.name for each in route.path)
        schema = registry.input(message, path, ignores_warnings=route.ignores_warnings)
    else:
        schema = registry.parameter(message.fields_by_name[route.body])
    return {"required": True, "content": _content(schema, example.get("request"))}


def _success(
    route: Binding, registry: SchemaRegistry, example: Mapping[str, Any]
) -> dict[str, Any]:
    message = route.method.descriptor.output_type
    response: dict[str, Any] = {"description": registry.describe(message.full_name)}
    if "request_id" not in message.fields_by_name:  # otherwise the body has it
        response["headers"] = {"X-Request-ID": {"$ref": "#/components/headers/RequestID"}}
    if route.method.writes and not has_warnings(message):
        header = {"$ref": "#/components/headers/Warnings"}
        response.setdefault("headers", {})["X-PDP-Warnings"] = header
    if route.method.success_status == NO_CONTENT:
        return response
    if route.response_body and has_warnings(message):
        schema = registry.output_with_warnings(message, route.response_body)
    elif route.response_body:
        schema = registry.output_field(message.fields_by_name[route.response_body])
    else:
        schema = registry.output(message)
    if route.method.server_streaming:
        return {**response, "content": _stream_content(schema, message)}
    return {**response, "content": _content(schema, example.get("response"))}


def _stream_content(schema: JsonSchema, message: Descriptor) -> dict[str, Any]:
    """Returns the content of a stream: one line of JSON for each message, or plain text."""
    if CONTENT_TYPE not in message.fields_by_name:
        return {NDJSON: {"schema": schema}}
    return {kind: {"schema": {"type": "string"}} for kind in (NDJSON, "text/csv")}


def _content(schema: JsonSchema, example: Any) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": schema}
    return {"application/json": media if example is None else {**media, "example": example}}
