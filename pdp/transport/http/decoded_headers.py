"""The headers of an HTTP request, as sources of facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pdp.errors import InvalidArgument, Violation


class DecodedHeaders(Mapping[str, str]):
    """Headers whose values are UTF-8. A value is decoded when it is read.

    HTTP has no encoding for headers, and servers pass them on as Latin-1. A client's own header
    that is not read may have any bytes.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        """Takes the headers as the server has them, by lower-case name."""
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        """Returns the value of a header.

        Raises:
            KeyError: there is no such header.
            InvalidArgument: its value is not UTF-8.
        """
        value = self._headers[name]
        if value.isascii():
            return value
        try:
            return value.encode("latin-1").decode("utf-8")
        except UnicodeError:
            raise InvalidArgument.of(Violation(name, "is not UTF-8")) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)
