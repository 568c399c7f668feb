"""JSON-RPC messages around the parameters and results that agentgateway sends.

The gateway sends the bytes of `params` or `result`. The message that is judged has them unchanged,
so that they can be cut out of it again after redaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.adapters.meta_tokens import has_tokens, take_tokens
from pdp.errors import InvalidArgument, Violation
from pdp.strictjson.objects import to_text
from pdp.strictjson.parsing import parse
from pdp.strictjson.problems import InvalidValue, type_mismatch

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_METHOD: Final = 256
MAX_SERVICES: Final = 1000
MAX_NAME: Final = 256

_END: Final = "}"


class RpcMessage(NamedTuple):
    """A message.

    Attributes:
        body: its JSON text.
        start: the begin of the parameters or the result in it; -1 if it has none.
        value: the parameters or the result.
        tokens: the confirmations that were taken out of the parameters.
    """

    body: str
    start: int
    value: dict[str, Any]
    tokens: tuple[str, ...] = ()

    @property
    def inner(self) -> bytes:
        """The parameters or the result, as JSON."""
        return self.body[self.start : -len(_END)].encode()

    def cut(self, redacted: str) -> bytes | None:
        """Returns the parameters or the result of the redacted message.

        Returns:
            None if there are none, or if something else was redacted.
        """
        head = self.body[: self.start]
        if self.start < 0 or not redacted.startswith(head) or not redacted.endswith(_END):
            return None
        inner = redacted[self.start : -len(_END)]
        try:
            value = parse(inner)
        except InvalidValue:
            return None
        return inner.encode() if isinstance(value, dict) else None


def request_message(method: str, params: bytes | None) -> RpcMessage:
    """Returns a request, without the confirmations in it.

    Args:
        method: its method.
        params: its parameters; None for none.

    Raises:
        InvalidArgument: the method is missing or too long, the parameters are no JSON object, or
            the tokens in them are none.
    """
    if not method or len(method) > MAX_METHOD:
        reason = f"must have 1 to {MAX_METHOD} characters"
        raise InvalidArgument.of(Violation("method", reason))
    head = f'{{"jsonrpc":"2.0","id":1,"method":{to_text(method)}'
    if params is None:
        return RpcMessage(head + _END, -1, {})
    message = _message(f'{head},"params":', params, "mcp_request")
    if not has_tokens(message.value):
        return message
    taken = take_tokens(message.body, message.value, "/params")
    return message._replace(body=taken.text, value=taken.params, tokens=taken.tokens)


def result_message(result: bytes) -> RpcMessage:
    """Returns the answer to a request.

    Args:
        result: its result.

    Raises:
        InvalidArgument: the result is no JSON object.
    """
    return _message('{"jsonrpc":"2.0","id":1,"result":', result, "mcp_response")


def check_services(names: Sequence[str]) -> None:
    """Checks the names of servers.

    Raises:
        InvalidArgument: there are too many, or one is too long.
    """
    if len(names) > MAX_SERVICES:
        reason = f"has more than {MAX_SERVICES} names"
        raise InvalidArgument.of(Violation("service_names", reason))
    for index, name in enumerate(names):
        if len(name) > MAX_NAME:
            reason = f"has more than {MAX_NAME} characters"
            raise InvalidArgument.of(Violation(f"service_names[{index}]", reason))


def _message(head: str, raw: bytes, field: str) -> RpcMessage:
    try:
        text = raw.decode()
        value = parse(text)
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8"
        raise InvalidArgument.of(Violation(field, reason)) from None
    except InvalidValue as error:
        raise InvalidArgument.of(Violation(field, f"is not JSON: {error}")) from None
    if not isinstance(value, dict):
        raise InvalidArgument.of(Violation(field, type_mismatch("an object", value)))
    return RpcMessage(head + text + _END, len(head), value)
