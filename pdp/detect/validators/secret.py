"""Validators for secrets: distinguish them from placeholders, names and examples."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import string
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pdp.detect.validators.common import Validator

_MAX_SECRET: Final = 4096
_PLACEHOLDER: Final = re.compile(
    r"example|sample|dummy|placeholder|redacted|change[_-]?me|insert[_-]|your[_-]|[_-]here\b|replace"
    r"|fake|todo|fixme|xxxx|\*\*\*|\.\.\.|<|>|\$\{|\{\{|%s|0123456789|1234567890|abcdefgh"
    r"|masked|removed|censored|####|\[[a-z_ ]+\]",
    re.IGNORECASE,
)
_PLACEHOLDER_AREA: Final = 256
"""A placeholder is at the start. Later in a long random value, such a word is a coincidence."""
_MIN_SEQUENCE: Final = 8
_ALPHABET: Final = string.ascii_lowercase
_SEQUENCES: Final = tuple(
    _ALPHABET[start : start + _MIN_SEQUENCE] for start in range(len(_ALPHABET) - _MIN_SEQUENCE + 1)
)
_PUBLISHED: Final = frozenset(
    {
        *("AIzaSyAnLA7NfeLquW1tJFpx_eQCxoX-oo6YyIs", "AIzaSyCkEhVjf3pduRDt6d1yKOMitrUEke8agEM"),
        *("AIzaSyDMAScliyLx7F0NPDEJi1QmyCgHIAODrlU", "AIzaSyD3asb-2pEZVqMkmL6M9N6nHZRR_znhrh0"),
        *("AIzayDNSXIbFmlXbIE6mCzDLQAqITYefhixbX4A", "AIzaSyAdOS2zB6NCsk1pCdZ4-P6GBdi_UUPwX7c"),
        *("AIzaSyASWm6HmTMdYWpgMnjRBjxcQ9CKctWmLd4", "AIzaSyANUvH9H9BsUccjsu2pCmEkOPjjaXeDQgY"),
        *("AIzaSyA5_iVawFQ8ABuTZNUdcwERLJv_a_p4wtM", "AIzaSyA4UrcGxgwQFTfaI3no3t7Lt1sjmdnP5sQ"),
        *("AIzaSyDSb51JiIcB6OJpwwMicseKRhhrOq1cS7g", "AIzaSyBF2RrAIm4a0mO64EShQfqfd2AFnzAvvuU"),
        *("AIzaSyBcE-OOIbhjyR83gm4r2MFCu4MJmprNXsw", "AIzaSyB8qGxt4ec15vitgn44duC5ucxaOi4FmqE"),
        "AIzaSyA8vmApnrHNFE0bApF4hoZ11srVL_n0nvY",
    }
)
"""Keys that a provider publishes in its own samples. Source: firebase/firebase-android-sdk."""
_MIN_CHARACTERS: Final = 6
_MAX_REPEATED: Final = 0.8
"""The greatest share of one character."""
_MIN_ENTROPY: Final = 3.0
_MIN_PASSWORD_LENGTH: Final = 6
_MIN_PASSWORD_CHARACTERS: Final = 4
_COMMON_PASSWORDS: Final = frozenset(
    {
        *("password", "passwd", "secret", "string", "null", "none", "true", "false", "undefined"),
        *("pass", "pwd", "pw", "passphrase", "token", "key"),
        *("required", "optional", "hidden", "value", "username", "test", "testing"),
    }
)
# A word, a short number, or a name such as v2, ed25519 or PKCS7PrivateKeyTypes.
_WORD: Final = re.compile(r"[A-Za-z]*|[0-9]{1,4}|[A-Za-z]{1,8}[0-9]{1,5}(?:[A-Z][a-z]{2,}){0,6}")
_BETWEEN_WORDS: Final = re.compile(r"[-_./=+~]")
_NAME: Final = re.compile(r"[a-z_]*(?:password|secret|token|key|repo)[a-z_]*", re.IGNORECASE)
_MIN_ASSIGNED: Final = 12
_MIN_ASSIGNED_NUMBER: Final = 15
_MIN_PART: Final = 8
_ENDS_OF_NAMES: Final = ("Key", "Keys", "Token", "Tokens", "Secret", "Secrets", "Type", "Name")
_MIN_MIXED: Final = 16
_MAX_WORDS: Final = 0.6
"""The greatest share of letters that may be words in a random value of mixed case."""
_LETTERS_OF_WORDS: Final = re.compile(r"[A-Z]?[a-z]{2,}")
_MIN_JOINED: Final = 24
_MIN_JOINED_ALTERNATIONS: Final = 6
_MIN_KEY: Final = 24
_MIN_HEADER: Final = 20
_TRIMMED: Final = "\"'`.,:;!"
_BETWEEN_PARTS: Final = re.compile(r"[-_./=+~:|@#!^*,%]")
_OTHER_VALUE: Final = re.compile(
    r"(?:19|20)\d\d-?[01]\d-?[0-3]\d[T_-]?[0-2]\d[:.-]?\d\d[:.-]?\d\d(?:[.,]?\d{1,3})?"
    r"(?:Z|[+-]\d\d:?\d\d)?"  # a time
    r"|\d+:.*"  # a record's number and its part
    r"|0x[0-9a-f]{40}"  # an address of a contract
    r"|(?-i:[0-9A-F]{40})"  # a fingerprint
    r"|(?:sha\d+|md5)[:-].*"
    r"|AAAA(?:B3NzaC1|C3NzaC1|E2VjZHNh).*|MIIBIjAN.*|MCowBQYDK2Vw.*|MFkwEwYH.*",  # public keys
    re.IGNORECASE,
)
_FILE: Final = re.compile(r".*\.[a-z0-9]{2,4}", re.IGNORECASE)
_MAX_LABEL: Final = 128
_IDENTIFIER: Final = re.compile(r"[-\w. ]*")
_KEY_FILE: Final = re.compile(r"[-\w. ]*\.keys?\b", re.IGNORECASE)
_LABEL_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_KEY_WORDS: Final = frozenset({"key", "keys"})
_QUALIFIERS_OF_KEYS: Final = frozenset(
    {
        *("api", "app", "application", "access", "secret", "private", "auth", "authentication"),
        *("signing", "encryption", "decryption", "master", "service", "client", "consumer"),
        *("license", "subscription", "shared", "storage", "account", "deploy", "session"),
        *("webhook", "integration", "admin", "bot", "rest", "hmac", "jwt", "security"),
    }
)
_SECRET_WORDS: Final = frozenset(
    {
        *("token", "tokens", "secret", "secrets", "credential", "credentials", "cred", "creds"),
        *("apikey", "apikeys", "accesskey", "secretkey", "authkey", "authtoken", "accesstoken"),
        *("apitoken", "apisecret", "clientsecret", "appkey", "appsecret", "privatekey"),
        *("authorization", "auth"),
    }
)
_OTHER_FIRST_WORDS: Final = frozenset(
    {
        *("next", "prev", "previous", "page", "paging", "pagination", "cursor", "continuation"),
        *("sync", "csrf", "xsrf", "cancel", "cancellation", "public", "primary", "foreign"),
        *("cache", "partition", "sort", "idempotency", "resume", "upload", "authenticity"),
        *("start", "starting", "skip", "design", "object", "lookup", "row", "etag", "delta"),
        *("change", "middleware", "verification", "antiforgery", "pub", "captcha", "marker"),
    }
)
_OTHER_LAST_WORDS: Final = frozenset(
    {
        *("id", "ids", "name", "names", "type", "types", "count", "counts", "limit", "limits"),
        *("url", "uri", "urls", "endpoint", "path", "file", "dir", "arn", "hash", "digest"),
        *("sha", "checksum", "version", "length", "size", "expiry", "expires", "expiration", "at"),
        *("ttl", "policy", "scope", "scopes", "format", "field", "prefix", "header", "provider"),
        *("issuer", "audience", "ref", "label", "kind", "class", "index", "algorithm", "alg"),
        *("status", "usage", "date", "time", "timestamp", "age", "budget", "price", "cost"),
        *("address", "symbol", "contract", "fingerprint", "thumbprint", "manager", "store"),
        *("user", "users", "role", "group", "program", "mint", "regex", "pattern", "variable"),
    }
)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def live_secret(text: str) -> bool:
    """Whether `text`, which has the format of a secret, is not a placeholder or an example.

    Placeholders and examples have few different characters, contain a word such as EXAMPLE or a
    part of the alphabet, or are published by their provider.
    Source: the placeholders in the documentation of the providers.
    """
    text = text[:_MAX_SECRET]
    if len(set(text)) < _MIN_CHARACTERS or text in _PUBLISHED:
        return False
    area = text[:_PLACEHOLDER_AREA]
    repeated = max(map(area.count, set(area)))
    if repeated > _MAX_REPEATED * len(area) or _PLACEHOLDER.search(area):
        return False
    lower = area.lower()
    return not any(sequence in lower for sequence in _SEQUENCES)


def high_entropy(text: str) -> bool:
    """Whether `text` looks random: at least 3 bits per character, and not a sequence of words.

    Source: Shannon entropy, with which secret scanners distinguish keys from names.
    """
    if not live_secret(text) or _UUID.fullmatch(text):
        return False
    if all(_WORD.fullmatch(part) for part in _BETWEEN_WORDS.split(text[:_MAX_SECRET])):
        return False
    return _entropy(text[:_MAX_SECRET]) >= _MIN_ENTROPY and any(map(str.isdigit, text))


def _entropy(text: str) -> float:
    length = len(text)
    return -sum(n / length * math.log2(n / length) for n in Counter(text).values())


def assigned_secret(text: str) -> bool:
    """Whether `text`, which is assigned to a label such as "token", looks random.

    A random value has a long part in which letters and digits alternate, or is a long number.
    Words, paths, versions, times and identifiers of code have no such part.
    Source: Shannon entropy and the formats of the tokens of public services.
    """
    if not live_secret(text):
        return False
    text = text[:_MAX_SECRET].strip(_TRIMMED)
    if len(text) < _MIN_ASSIGNED or _OTHER_VALUE.fullmatch(text):
        return False
    if text.isdigit():
        return len(text) >= _MIN_ASSIGNED_NUMBER
    if any(_is_random(part) for part in _BETWEEN_PARTS.split(text)):
        return True
    joined = _BETWEEN_PARTS.sub("", text)
    return len(joined) >= _MIN_JOINED and _alternations(joined) >= _MIN_JOINED_ALTERNATIONS


def random_token(text: str) -> bool:
    """Whether `text`, which has the prefix and the length of a token, is no name or placeholder.

    Source: the formats of the tokens of public services, whose random part has digits.
    """
    return live_secret(text) and any(map(str.isdigit, text[:_MAX_SECRET]))


def _is_random(part: str) -> bool:
    if len(part) < _MIN_PART or _WORD.fullmatch(part) or part.endswith(_ENDS_OF_NAMES):
        return False
    if len(part) >= _MIN_MIXED and part.upper() != part != part.lower():
        words = sum(map(len, _LETTERS_OF_WORDS.findall(part)))
        if words <= (_MAX_WORDS if any(map(str.isdigit, part)) else _MAX_WORDS / 2) * len(part):
            return True
    return _alternations(part) >= (2 if len(part) < _MIN_ASSIGNED else 3)


def _alternations(text: str) -> int:
    """Returns how often a digit follows a letter, or a letter follows a digit."""
    digits = [character.isdigit() for character in text]
    return sum(before is not after for before, after in pairwise(digits))


def random_key(text: str) -> bool:
    """Whether `text`, which is assigned to something called a key, is certainly a secret.

    Keys of caches, tables and files are names, numbers, UUIDs and hashes. A secret is long, and has
    lower case, upper case and digits.
    Source: the formats of the keys of public services.
    """
    text = text[:_MAX_SECRET].strip(_TRIMMED)
    if len(text) < _MIN_KEY or not assigned_secret(text) or _FILE.fullmatch(text):
        return False
    if not any(map(_is_random, _BETWEEN_PARTS.split(text))):
        return False
    return all(any(map(kind, text)) for kind in (str.islower, str.isupper, str.isdigit))


def secret_label(text: str) -> bool:
    """Whether `text`, the label of an assigned value, names a secret.

    `next_page_token`, `token_count` and `secret_arn` name something else.
    Source: the names of parameters in the APIs of public services.
    """
    words = _words_of_label(text)
    if not words or words[-1] in _OTHER_LAST_WORDS:
        return False
    at = next((at for at, word in enumerate(words) if word in _SECRET_WORDS), -1)
    if at < 0:
        at = next((at for at, word in enumerate(words) if word in _KEY_WORDS), 0)
        if at == 0 or words[at - 1] not in _QUALIFIERS_OF_KEYS:
            return False
    return _OTHER_FIRST_WORDS.isdisjoint(words[max(0, at - 2) : at])


def key_label(text: str) -> bool:
    """Whether `text`, the label of an assigned value, is any other key than those of data.

    `server.key:` in the result of a search is the name of a file.
    Source: the names of parameters in the APIs of public services.
    """
    words = _words_of_label(text)
    if not words or words[-1] not in _KEY_WORDS or _KEY_FILE.match(text[:_MAX_LABEL]):
        return False
    return _OTHER_FIRST_WORDS.isdisjoint(words[-3:-1]) and not secret_label(text)


def _words_of_label(text: str) -> list[str]:
    """Returns the words of a label in lower case: `nextPageToken` has three."""
    identifier = _IDENTIFIER.match(text[:_MAX_LABEL])
    words = _LABEL_WORD.findall(identifier[0]) if identifier else []
    return [word.lower() for word in words if word != "is"]


def command_credentials(text: str) -> bool:
    """Whether `text`, a user name and a password on a command line, is not a placeholder.

    Either may be empty: some services take a key as the name or as the password alone.
    Source: the manual of curl for the format.
    """
    name, _, password = text[:_MAX_SECRET].partition(":")
    if not password:
        return written_password(name) and any(map(str.isdigit, name))
    return name != password and url_credentials(text) and not _PLACEHOLDER.search(name)


def header_credentials(text: str) -> bool:
    """Whether `text`, which follows a scheme such as Bearer in a header, is not a word.

    Source: RFC 7617 and RFC 6750 for the schemes.
    """
    has_digit = any(map(str.isdigit, text[:_MAX_SECRET]))
    return live_secret(text) and (has_digit or text.endswith("=") or len(text) >= _MIN_HEADER)


def written_password(text: str) -> bool:
    """Whether `text` is a password, and not a placeholder or a name such as "password".

    Source: the placeholders in manuals and schemas.
    """
    text = text[:_MAX_SECRET]
    if len(text) < _MIN_PASSWORD_LENGTH or _PLACEHOLDER.search(text):
        return False
    return len(set(text)) >= _MIN_PASSWORD_CHARACTERS and text.lower() not in _COMMON_PASSWORDS


def url_credentials(text: str) -> bool:
    """Whether the password in `text`, a user name and a password, is not a placeholder.

    Source: RFC 3986 for the format; the placeholders in manuals.
    """
    password = text[:_MAX_SECRET].partition(":")[2]
    if len(set(password)) <= 1 or _PLACEHOLDER.search(password) or _NAME.fullmatch(password):
        return False
    return password.lower().removeprefix("my") not in _COMMON_PASSWORDS


def json_web_token(text: str) -> bool:
    """Whether `text` begins with the header of a JSON Web Token: JSON that names its algorithm.

    Source: RFC 7519.
    """
    header = text[:_MAX_SECRET].partition(".")[0]
    try:
        decoded = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (ValueError, binascii.Error):
        return False
    return isinstance(decoded, dict) and "alg" in decoded


VALIDATORS: Final[tuple[Validator, ...]] = (
    live_secret,
    high_entropy,
    assigned_secret,
    random_token,
    random_key,
    secret_label,
    key_label,
    command_credentials,
    header_credentials,
    written_password,
    url_credentials,
    json_web_token,
)
