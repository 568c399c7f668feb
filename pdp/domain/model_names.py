"""Reads the names that providers and hosts give to models.

One model has many names: `claude-sonnet-4-5`, `claude-sonnet-4-5-20250929`,
`us.anthropic.claude-sonnet-4-5-20250929-v1:0`, `anthropic/claude-sonnet-4.5:beta`. `read_name`
takes a name apart into what says which model it is (words, generation, sizes) and what says which
build of the model it is (date, version, preview). It is a pure function and has no table of models,
so it reads a new name in the same way.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pdp.domain import model_name_tables as tables

MAX_NAME: Final = 256
"""Characters of a name that are read, as in DecideRequest."""

MAX_TOKENS: Final = 40
"""Tokens of a name that is taken apart. A longer one is one word: it means no other model."""


class ModelName(NamedTuple):
    """A name, taken apart.

    Attributes:
        words: the words of the model, sorted: `("claude", "sonnet")`.
        generation: its number: `4.5`; empty if the name has none.
        sizes: numbers of parameters and experts, sorted: `("8b",)`.
        soft: whether the generation is written as a version (`deepseek-chat-v3`), so that a name
            without it may mean the same model.
        date: of the build, digits only: `20250929`, `0613`, `2411`.
        version: of the build: `1`, `2.1`.
        preview: whether the build is a preview.
        rolling: whether the name ends with `latest`.
        family: the company that makes models with such names; empty if unknown.
        owner: the company that the name itself names (`openai/…`, `us.anthropic.…`); an unknown
            one as it is written; empty for none.
        host: the host that the name itself names (`azure/…`); empty for none.
    """

    words: tuple[str, ...]
    generation: str = ""
    sizes: tuple[str, ...] = ()
    soft: bool = False
    date: str = ""
    version: str = ""
    preview: bool = False
    rolling: bool = False
    family: str = ""
    owner: str = ""
    host: str = ""


class Provider(NamedTuple):
    """A provider, by the one name that is used here for all of its names.

    Attributes:
        name: empty for none.
        is_host: whether it serves models of others.
    """

    name: str
    is_host: bool = False


def read_provider(name: str) -> Provider:
    """Returns the provider that a name means; an unknown one keeps its name."""
    plain = name.strip().casefold()
    key = re.sub(r"[_ .]+", "-", plain)
    if key in tables.HOSTS:
        return Provider(tables.HOSTS[key], is_host=True)
    return Provider(tables.VENDORS.get(key, plain))


def is_known_vendor(name: str) -> bool:
    """Whether a company is one that is known to make models, by `read_provider`."""
    return name in _VENDOR_NAMES


def read_name(name: str) -> ModelName:
    """Takes a name apart. Never raises; characters after `MAX_NAME` are not read."""
    plain = name[:MAX_NAME].strip().casefold()
    segment, owner, host = _last_of_path(plain)
    segment, owner = _without_prefixes(_base_of_tuned(segment), owner)
    tokens = _tokens(_with_suffixes(segment))
    if len(tokens) > MAX_TOKENS:
        return ModelName((plain,))
    company, tokens = _without_leading_companies(tokens)
    reading = _Reading(tokens)
    words = tuple(sorted(reading.words)) or (segment or plain,)
    implied = tables.IMPLIED_SIZES.get((words, reading.generation), frozenset())
    return ModelName(
        words,
        reading.generation,
        tuple(sorted(set(reading.sizes) - implied)),
        reading.soft,
        reading.date,
        reading.version,
        reading.preview,
        reading.rolling,
        _family(reading),
        owner or company,
        host,
    )


def dates_agree(first: str, second: str) -> bool:
    """Whether two dates of builds can be the same day; a name may leave out the year or the day."""
    short, long = sorted((first, second), key=len)
    if len(short) == len(long):
        return short == long
    # 20250806 as 0806, 2508, 202508, 250806 and 2025.
    return long.startswith(short) or long.endswith(short) or long[2:].startswith(short)


def _last_of_path(path: str) -> tuple[str, str, str]:
    """Returns the part of a path that names the model, the company before it, and the host."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return path, "", ""
    index = len(parts) - 1
    for place, part in enumerate(parts[:-1]):
        if part.rpartition(":")[2] in tables.PATH_MARKERS:
            index = place + 1
    owner = host = unknown = ""
    for part in parts[:index]:
        known = read_provider(part)
        if known.is_host:
            host = known.name
        elif known.name in _VENDOR_NAMES:
            owner = known.name
        elif not _is_no_company(part):
            unknown = part
    return parts[index], owner or unknown, host


_VENDOR_NAMES: Final = frozenset(tables.VENDORS.values())
_is_company: Final = re.compile(r"[a-z]+(-[a-z]+)*").fullmatch
_is_region: Final = re.compile(r"[a-z]{2,}(-[a-z]+)*-?\d").fullmatch


def _is_no_company(part: str) -> bool:
    return (
        ":" in part
        or part in tables.PATH_WORDS
        or part in tables.PATH_MARKERS
        or part in tables.REGIONS
        or _is_region(part) is not None
    )


def _base_of_tuned(name: str) -> str:
    """Returns the base of a fine-tuned model: `gpt-4o` for `ft:gpt-4o:acme::id`."""
    if name.startswith("ft:"):
        return name[3:].partition(":")[0]
    for mark in (".ft-", "[", "#", "?", "-reference-"):
        name = name.partition(mark)[0] or name
    return name


def _without_prefixes(name: str, owner: str) -> tuple[str, str]:
    """Returns a name without `us.anthropic.` or `anthropic--`, and the company that it names."""
    for separator in ("--", "."):
        in_region = False
        head, found, rest = name.partition(separator)
        while found and rest:
            known = read_provider(head)
            if known.name in _VENDOR_NAMES or (in_region and _is_company(head)):
                owner = known.name
            elif not (known.is_host or head in tables.REGIONS or _begins_with_vendor(rest)):
                break
            in_region = head in tables.REGIONS
            name = rest
            head, found, rest = name.partition(separator)
    if owner in tables.PREFIXED_FAMILIES and not name.startswith(owner):
        name = f"{owner}-{name}"
    return name, owner


def _begins_with_vendor(name: str) -> bool:
    """Whether `anthropic.` comes next, so that what is before it is a region."""
    return "." in name and read_provider(name.partition(".")[0]).name in _VENDOR_NAMES


_ends_with_version: Final = re.compile(r"(?:^|[-@])v?\d{1,2}$").search
_is_size_or_date: Final = re.compile(r"(?:\d+(?:\.\d+)?[bm]|\d+x\d+b|\d{4,8})(?:-.*)?").fullmatch
_is_number: Final = re.compile(r"\d{1,2}").fullmatch


def _with_suffixes(name: str) -> str:
    """Returns a name in which the parts after its colons are as other names have them.

    `v1:0` is a version and `llama3.3:70b` has a size. Everything else is a variant of a host
    (`:free`), a length of the context (`:300k`) or a method (`:generateContent`).
    """
    head, *suffixes = name.split(":")
    for suffix in suffixes:
        if _is_number(suffix) and _ends_with_version(head):
            before, dash, version = head.replace("@", "-").rpartition("-")
            head = f"{before}{dash}v{version.removeprefix('v')}.{suffix}"
        elif suffix == "latest" or _is_size_or_date(suffix):
            head = f"{head}-{suffix}"
    return head


_QUANTIZATION: Final = re.compile(
    r"(?<![a-z0-9])(?:i?q\d(?:_[a-z0-9]+)*|\d{1,2}-?bit|(?:nv)?fp\d{1,2}|bf16|int\d{1,2}|w\da\d{1,2})"
    r"(?![a-z0-9])"
)
_TOKEN: Final = re.compile(
    r"(?<![a-z])v-?\d{1,3}(?:[.p]\d{1,3})*(?![a-z0-9])"  # v1, v3p1, v-4
    r"|(?<![a-z0-9])a\d+(?:[.p]\d+)?b(?![a-z0-9])"  # a22b: active parameters
    r"|\d+x\d+b(?![a-z0-9])"  # 8x7b
    r"|\d+(?:[.p]\d+)*(?:[a-z]{1,2}(?![a-z0-9]))?"  # 4.5, 2p5, 70b, 4o
    r"|[^\W\d_]+"
)


def _tokens(name: str) -> list[str]:
    tokens = _TOKEN.findall(_QUANTIZATION.sub(" ", name.replace("+", "-plus ")))
    return [_decimal(token) for token in tokens]


def _decimal(token: str) -> str:
    """Returns Fireworks' `3p1` as 3.1."""
    return re.sub(r"(?<=\d)p(?=\d)", ".", token) if "p" in token else token


def _without_leading_companies(tokens: list[str]) -> tuple[str, list[str]]:
    """Drops companies before the family: `databricks-claude-…`, `meta-llama-3.1`.

    Returns:
        The company that makes the model, empty for none; and the tokens that are left.
    """
    companies: list[str] = []
    for index, token in enumerate(tokens[:-1]):
        known = read_provider(token)
        if known.name in _VENDOR_NAMES:
            companies.append(known.name)
        elif not (known.is_host or token == tables.OPEN_PREFIX):
            break
        maker = tables.FAMILIES.get(tokens[index + 1])
        # `mistral-embed` is no model of Cohere, whose models begin with `embed`.
        if maker is not None and set(companies) <= {maker}:
            return (maker if companies else ""), tokens[index + 1 :]
    return "", tokens


def _family(reading: _Reading) -> str:
    first = reading.first_word
    if first in tables.NUMBERED_FAMILIES and not reading.generation:
        return ""
    if reading.words[:2] == ["text", "embedding"] and (
        reading.generation or "ada" in reading.words
    ):
        return "openai"  # Google's have a version, `text-embedding-005`
    return tables.FAMILIES.get(first, "")


_is_integer: Final = re.compile(r"\d+").fullmatch
_is_decimal: Final = re.compile(r"\d{1,2}(?:\.\d{1,2})*").fullmatch
_is_padded: Final = re.compile(r"0\d\d").fullmatch  # 001
_is_size: Final = re.compile(r"\d+(?:\.\d+)?[bm]|\d+x\d+b|\d+e").fullmatch
_is_active_size: Final = re.compile(r"a\d+(?:\.\d+)?b").fullmatch
_is_version: Final = re.compile(r"v-?(\d+(?:\.\d+)*)").fullmatch
_is_dotted_date: Final = re.compile(r"(?:20[12]\d\.\d\d(?:\.\d\d)?|2\d\.(?:0\d|1[0-2]))").fullmatch


class _Reading:
    """Reads tokens from left to right, each once."""

    def __init__(self, tokens: list[str]) -> None:
        self.words: list[str] = []
        self.sizes: list[str] = []
        self.first_word = ""
        self.generation = self.date = self.version = ""
        self.soft = self.preview = self.rolling = False
        self._tuned = False
        self._minor_of = ""
        index = 0
        while index < len(tokens):
            if tokens[index] == "ft" and index:
                break  # what follows is the name of the fine-tuned model
            minor_of, self._minor_of = self._minor_of, ""
            index += self._date(tokens, index) or self._token(tokens[index], minor_of)
            if index and self._is_last_word(tokens, index):
                break

    def _is_last_word(self, tokens: list[str], index: int) -> bool:
        """Whether the one token that is left says no more than where or how hard it works."""
        return (
            index == len(tokens) - 1
            and bool(self.words)
            and (
                tokens[index] in tables.REGION_SUFFIXES
                or (
                    tokens[index] in tables.EFFORT_WORDS
                    and self.first_word in tables.EFFORT_FAMILIES
                )
            )
        )

    def _date(self, tokens: list[str], index: int) -> int:
        """Reads a date; returns of how many tokens, or 0 for none."""
        if not self.words:
            return 0
        date, count = _read_date(tokens[index : index + 3])
        if count:
            self.date = self.date or date
        return count

    def _token(self, token: str, minor_of: str) -> int:
        """Reads one token; returns 1.

        Args:
            token: the token.
            minor_of: `generation` or `version` if a number would be its minor number: 4-5.
        """
        version = _is_version(token)
        if version:
            self._add_version(version[1])
        elif token in tables.CONTEXT_LENGTHS or _is_active_size(token):
            pass
        elif _is_size(token):
            self.sizes.append(token)
        elif _is_padded(token):
            self.version = _plain_number(token)
        elif _is_decimal(token):
            self._add_number(token, minor_of)
        else:
            self._add_word(token)
        return 1

    def _add_version(self, version: str) -> None:
        kind = "version" if self.generation else "generation"
        self.soft = self.soft or not self.generation
        self._set_number(kind, version)

    def _add_number(self, number: str, minor_of: str) -> None:
        if self.words == ["gpt"]:
            number = tables.GPT_GENERATIONS.get(number, number)
        if minor_of and "." not in number:
            setattr(self, minor_of, _plain_number(f"{getattr(self, minor_of)}.{number}"))
        elif not self.generation:
            self._set_number("generation", number)
        else:
            self.words.append(number)

    def _set_number(self, kind: str, number: str) -> None:
        setattr(self, kind, _plain_number(number))
        self._minor_of = "" if "." in number else kind

    def _add_word(self, word: str) -> None:
        if not self.first_word:
            self.first_word = word
            self.words.append(word)
        elif word == "latest":
            self.rolling = True
        elif word in tables.PREVIEW_WORDS:
            self.preview = True
        elif word in tables.TUNED_WORDS and self.first_word not in tables.TUNED_EXCEPT:
            self._tuned = True
        elif word not in tables.SERVING_WORDS and not (
            self._tuned and word in tables.SERVING_AFTER_TUNED
        ):
            self.words.append(word)


def _plain_number(number: str) -> str:
    """Returns a number without zeros that say nothing: 4 for `4.0`, 1 for `001`."""
    parts = [part.lstrip("0") or "0" for part in number.split(".")]
    while len(parts) > 1 and parts[-1] == "0":
        parts.pop()
    return ".".join(parts)


def _read_date(tokens: list[str]) -> tuple[str, int]:
    """Returns the date at the beginning of `tokens`, and of how many tokens it is; 0 for none."""
    first, second, third = (*tokens, "", "")[:3]
    if not _is_integer(first):
        return (first.replace(".", ""), 1) if _is_dotted_date(first) else ("", 0)
    if _is_year(first):
        if _is_month(second):
            return (first + second + third, 3) if _is_day(third) else (first + second, 2)
        return first, 1
    if _is_month(first):
        if _is_day(second):
            return (third + first + second, 3) if _is_year(third) else (first + second, 2)
        return (second + first, 2) if _is_year(second) else ("", 0)
    return (first, 1) if _is_whole_date(first) else ("", 0)


_is_year: Final = re.compile(r"20(?:19|[23]\d)").fullmatch
_is_month: Final = re.compile(r"0[1-9]|1[0-2]").fullmatch
_is_day: Final = re.compile(r"0[1-9]|[12]\d|3[01]").fullmatch
_is_whole_date: Final = re.compile(
    r"20(?:19|[23]\d)(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"  # YYYYMMDD
    r"|(?:19|[23]\d)(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"  # YYMMDD
    r"|20(?:19|[23]\d)(?:0[1-9]|1[0-2])"  # YYYYMM
    r"|(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"  # MMDD
    r"|(?:19|[23]\d)(?:0[1-9]|1[0-2])"  # YYMM
).fullmatch
