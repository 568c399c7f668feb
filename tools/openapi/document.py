"""The OpenAPI 3.1 document, from the contracts: annotations, bounds, JSON forms and comments."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from pdp._gen.pdp.v1 import decide_pb2
from pdp.transport.http.binding import WHOLE, Binding, bindings
from pdp.transport.http.responses import CONTENT_TYPE, NDJSON, NO_CONTENT
from pdp.transport.methods import methods, services
from tools.openapi.comments import first_sentence
from tools.openapi.errors import (
    error_examples,
    error_responses,
    error_schema,
    is_conditional,
)
from tools.openapi.schemas import Schemas

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf.descriptor import Descriptor

    from tools.openapi.bounds import JsonSchema

_ABOUT: Final = """\
Decide whether AI traffic may pass, and administer the policies that it is judged by.

Names are snake_case; lowerCamelCase is accepted too, and an unknown name is refused. A field that \
is null counts as absent. Errors come in one envelope, \
`{"error": {"code", "message", "details"}}`. A slash at the end of a path makes no \
difference."""

_CREDENTIALS: Final = {
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key. `x-access` of an operation says which role it must have.",
    },
    "Bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key or a signed token (JWT).",
    },
}
"""Development mode asks for none."""

_INFO: Final = {
    "title": "pdp",
    "summary": "A policy decision point for AI traffic.",
    "description": _ABOUT,
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
_REQUEST_ID: Final = {
    "description": "The id of this request: the caller's own, or one that the server made.",
    "schema": {"type": "string"},
}


_ETAG: Final = {
    "description": "The revision of the entity's last change, in quotes; see `If-Match`.",
    "schema": {"type": "string"},
    "example": '"42"',
}

_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "description": (
        "Tags of the revisions that the entity may be at, as `ETag` gave them, or `*` for any; "
        "where it is at another, nothing is changed."
    ),
    "schema": {
        "type": "string",
        "pattern": r'^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*"){0,99})$',
    },
    "example": '"42"',
}


def document(comments: Mapping[str, str], version: str) -> dict[str, Any]:
    """Returns the document of all routes.

    Args:
        comments: of the contracts, by full name.
        version: of this release.

    Raises:
        TypeError: something in the contracts has no words here.
        KeyError: an element has no comment.

    """
    routes = list(_routes())
    inputs = [each.method.descriptor.input_type for each in routes]
    outputs = [each.method.descriptor.output_type for each in routes]
    schemas = Schemas(comments, inputs, outputs)
    error_schema(schemas)
    errors: dict[str, Any] = {}
    paths = _paths(routes, schemas, errors)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {**_INFO, "version": version},
        "servers": [{"url": "/"}],
        "tags": [
            {"name": each.name, "description": comments[each.full_name]} for each in services()
        ],
        "security": [{name: []} for name in _CREDENTIALS],
        "paths": paths,
        "components": {
            "securitySchemes": _CREDENTIALS,
            "schemas": schemas.found(),
            "parameters": {"TenantID": _tenant(schemas), "IfMatch": _IF_MATCH},
            "headers": {"RequestID": _REQUEST_ID, "ETag": _ETAG},
            "responses": dict(sorted(errors.items())),
            "examples": error_examples(schemas),
        },
    }


def rendered(value: dict[str, Any]) -> str:
    """Returns the document as it is written to disk."""
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _routes() -> Iterator[Binding]:
    for method in methods():
        if not method.bidirectional:
            yield from bindings(method)


def _paths(
    routes: list[Binding], schemas: Schemas, errors: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    examples = _examples()
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        example = examples.get(route.method.name, {})
        operation = _operation(route, schemas, example)
        operation["responses"] = {
            str(route.method.success_status): _success(route, schemas, example),
            **error_responses(route, schemas, errors),
        }
        paths.setdefault(route.template, {})[route.http_method.lower()] = operation
    for operations in paths.values():
        _tag(operations)
    return paths


def _tag(operations: Mapping[str, Any]) -> None:
    """Shows the `ETag` of an entity that can be changed where it is read."""
    if operations.keys() & {"put", "patch"}:
        for verb in operations.keys() & {"get", "put", "patch"}:
            # The first is success. The order of the set does not matter: each is on its own.
            success = next(iter(operations[verb]["responses"].values()))
            success.setdefault("headers", {})["ETag"] = {"$ref": "#/components/headers/ETag"}


def _tenant(schemas: Schemas) -> dict[str, Any]:
    field = decide_pb2.DecideRequest.DESCRIPTOR.fields_by_name["tenant_id"]
    return {
        "name": "X-Tenant-ID",
        "in": "header",
        "description": "The tenant to act for; where it is empty, the credential's counts.",
        "schema": schemas.parameter(field),
        "example": "my-tenant",
    }


def _examples() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("examples.json").read_text(encoding="utf-8")
    examples: dict[str, Any] = json.loads(text)
    return examples


def _operation(route: Binding, schemas: Schemas, example: Mapping[str, Any]) -> dict[str, Any]:
    method = route.method
    service = method.service.rpartition(".")[2]
    comment = schemas.describe(f"{method.service}.{method.name}")
    operation: dict[str, Any] = {
        "operationId": method.name,
        "tags": [service],
        "summary": first_sentence(comment),
        "description": comment,
        "parameters": [
            *_path(route, schemas, example),
            *_query(route, schemas),
            {"$ref": "#/components/parameters/TenantID"},
        ],
    }
    operation["x-access"] = {"role": method.role, "scope": method.scope}
    if is_conditional(route):
        operation["parameters"].append({"$ref": "#/components/parameters/IfMatch"})
    if route.body:
        operation["requestBody"] = _body(route, schemas, example)
    return operation


def _path(route: Binding, schemas: Schemas, example: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for each in route.path:
        parameter = {
            "name": each.name,
            "in": "path",
            "required": True,
            "description": schemas.describe(each.field.full_name),
            "schema": {"minLength": 1, **schemas.parameter(each.field)},
        }
        value = example.get("path", {}).get(each.name)
        yield parameter if value is None else {**parameter, "example": value}


def _query(route: Binding, schemas: Schemas) -> Iterator[dict[str, Any]]:
    for name, each in route.query.items():
        if name == each.name:  # not its lowerCamelCase twin
            yield {
                "name": name,
                "in": "query",
                "description": schemas.describe(each.field.full_name),
                "schema": schemas.parameter(each.field),
            }


def _body(route: Binding, schemas: Schemas, example: Mapping[str, Any]) -> dict[str, Any]:
    message = route.method.descriptor.input_type
    if route.body == WHOLE:
        schema = schemas.input(message, frozenset(each.name for each in route.path))
    else:
        schema = schemas.parameter(message.fields_by_name[route.body])
    return {"required": True, "content": _content(schema, example.get("request"))}


def _success(route: Binding, schemas: Schemas, example: Mapping[str, Any]) -> dict[str, Any]:
    message = route.method.descriptor.output_type
    response: dict[str, Any] = {"description": schemas.describe(message.full_name)}
    if "request_id" not in message.fields_by_name:  # else the answer itself has it
        response["headers"] = {"X-Request-ID": {"$ref": "#/components/headers/RequestID"}}
    if route.method.success_status == NO_CONTENT:
        return response
    if route.response_body:
        schema = schemas.output_field(message.fields_by_name[route.response_body])
    else:
        schema = schemas.output(message)
    if route.method.server_streaming:
        return {**response, "content": _streamed(schema, message)}
    return {**response, "content": _content(schema, example.get("response"))}


def _streamed(schema: JsonSchema, message: Descriptor) -> dict[str, Any]:
    """A line of JSON for each message; or a text as it is, in one of two forms."""
    if CONTENT_TYPE not in message.fields_by_name:
        return {NDJSON: {"schema": schema}}
    return {kind: {"schema": {"type": "string"}} for kind in (NDJSON, "text/csv")}


def _content(schema: JsonSchema, example: Any) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": schema}
    return {"application/json": media if example is None else {**media, "example": example}}
