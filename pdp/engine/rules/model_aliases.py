"""Finds the models of the catalog that a name outside the catalog means.

`gpt-4o-2024-08-06` is a build of `gpt-4o`, and `us.anthropic.claude-sonnet-4-5-20250929-v1:0` is
`claude-sonnet-4-5` on another host. docs/decide.md, Kill switch, has the rules.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.model_catalog import ModelConfig
from pdp.domain.model_name_tables import HOSTING_VENDORS
from pdp.domain.model_names import (
    ModelName,
    Provider,
    dates_agree,
    is_known_vendor,
    read_name,
    read_provider,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAX_CATALOG_NAMES: Final = 10_000
"""Names of catalogs whose readings are kept: a change of one model reads one name."""

MAX_REQUEST_NAMES: Final = 1024
"""Names of requests of which it is kept what they mean: requests repeat a few names."""

_catalog_name = lru_cache(MAX_CATALOG_NAMES)(read_name)
_catalog_provider = lru_cache(MAX_REQUEST_NAMES)(read_provider)

_Key = tuple[tuple[str, ...], str, tuple[str, ...]]
"""Words, generation and sizes."""


class _Candidate(NamedTuple):
    """A model of the catalog, with its name and its provider as they are read."""

    model: ModelConfig
    name: ModelName
    provider: Provider


class _Asked(NamedTuple):
    """What a request names: the model, and who serves it."""

    name: ModelName
    provider: Provider


class Aliases(NamedTuple):
    """What a name outside the catalog means.

    Attributes:
        models: the models of the catalog that it may mean; empty for none.
        providers: the companies whose model it is, by `read_provider`: the request's own provider,
            the one in the name, and the maker of models with such names.
        placed: whether the provider of the request is one that is known to serve the models.
    """

    models: tuple[ModelConfig, ...]
    providers: tuple[str, ...]
    placed: bool


class AliasIndex:
    """Finds models of a catalog by what their names say, and caches the results."""

    __slots__ = ("find",)

    find: Callable[[str, str], Aliases]
    """Returns what a name, and a provider or nothing, mean that the catalog does not have."""

    def __init__(self, models: Iterable[ModelConfig]) -> None:
        """Indexes `models`, which must be in the order in which they were added."""
        # A cache of a method of this object would refer to it: a cycle (pdp/server/garbage.py).
        self.find = lru_cache(MAX_REQUEST_NAMES)(_NameIndex(models).find)


class _NameIndex:
    """The models of a catalog, by what their names say. Immutable."""

    __slots__ = ("_by_key", "_by_words", "_rolling", "_soft")

    def __init__(self, models: Iterable[ModelConfig]) -> None:
        """Indexes `models`, which must be in the order in which they were added."""
        self._by_key: dict[_Key, list[_Candidate]] = {}
        self._by_words: dict[tuple[str, ...], list[_Candidate]] = {}
        self._rolling: dict[tuple[str, ...], list[_Candidate]] = {}
        self._soft: dict[_Key, list[_Candidate]] = {}
        for model in models:
            name = _catalog_name(model.model_id)
            candidate = _Candidate(model, name, _catalog_provider(model.provider))
            self._by_key.setdefault(_key(name), []).append(candidate)
            self._by_words.setdefault(name.words, []).append(candidate)
            if name.rolling and not name.generation:
                self._rolling.setdefault(name.words, []).append(candidate)
            if name.soft:
                self._soft.setdefault(_key(name._replace(generation="")), []).append(candidate)

    def find(self, name: str, provider: str) -> Aliases:
        """See `AliasIndex.find`."""
        read, own = read_name(name), read_provider(provider)
        asked = _Asked(read, Provider(read.host, is_host=True) if read.host else own)
        candidates = [each for each in self.of_same_model(read) if _is_served(each, asked)]
        at_provider = [each for each in candidates if each.provider == asked.provider]
        # `lab/turbo` of another company is its own model, unless it serves the models of others.
        serves_others = not own.name or own.is_host or is_known_vendor(read.owner)
        owner = (read.owner if serves_others else "") or read.family
        companies = (own.name, read.host, owner)
        return Aliases(
            tuple(each.model for each in _best_builds(at_provider or candidates, read)),
            tuple(dict.fromkeys(filter(None, companies))),
            not own.name or own.is_host or own.name in HOSTING_VENDORS or bool(at_provider),
        )

    def of_same_model(self, name: ModelName) -> Sequence[_Candidate]:
        """Returns the models of which `name` can be another name, at any provider."""
        found = [*self._by_key.get(_key(name), ())]
        if name.generation:
            # A name that rolls from one generation to the next stands for any of them.
            found += self._rolling.get(name.words, ())
            if name.soft:
                found += self._by_key.get(_key(name._replace(generation="")), ())
        else:
            found += self._soft.get(_key(name), ())
            if name.sizes:
                found += self._rolling.get(name.words, ())
            if name.rolling and not found:
                found += _newest(self._by_words.get(name.words, ()))
        unique = {each.model.id: each for each in found}
        return [each for each in unique.values() if _is_same_build(each.name, name)]


class NameAliases:
    """Finds which of some names, whether or not a catalog has them, mean the same model as another.

    Immutable. In contrast to `AliasIndex`, all names that may mean the model are found, not only
    those that say the most of its build.
    """

    __slots__ = ("_index",)

    def __init__(self, names: Iterable[str]) -> None:
        """Indexes `names`, which are normalized."""
        self._index = _NameIndex([ModelConfig(name, "", name, name) for name in names])

    def find(self, name: str, provider: str) -> frozenset[str]:
        """Returns the names that mean the model `name` of `provider`; both are normalized."""
        read = read_name(name)
        if read.rolling and not read.generation:
            return frozenset()  # it means one generation of many: the catalog says which
        own = read_provider(provider)
        return frozenset(
            each.model.id
            for each in self._index.of_same_model(read)
            if _means_provider(each.name, read, own)
        )


def _means_provider(written: ModelName, asked: ModelName, provider: Provider) -> bool:
    """Whether a written name with a company or a host can mean a model of a provider."""
    if written.host:
        return provider.name in ("", written.host) or asked.host == written.host
    if not written.owner:
        return True
    if written.owner in (asked.owner, asked.family, provider.name):
        return True
    return not asked.owner and (provider.is_host or not provider.name)


def _newest(candidates: Sequence[_Candidate]) -> Sequence[_Candidate]:
    """Returns the candidates of the highest generation."""
    generations = [
        [int(part) for part in each.name.generation.split(".") if part] for each in candidates
    ]
    highest = max(generations, default=[])
    return [
        each
        for each, generation in zip(candidates, generations, strict=True)
        if generation == highest
    ]


def _key(name: ModelName) -> _Key:
    return name.words, name.generation, name.sizes


def _is_same_build(model: ModelName, name: ModelName) -> bool:
    """Whether a name can mean the same build of a model, or any of its builds."""
    if model.preview and not name.preview:
        return False
    if model.version and name.version and model.version != name.version:
        return False
    return not (model.date and name.date) or dates_agree(model.date, name.date)


def _is_served(candidate: _Candidate, asked: _Asked) -> bool:
    """Whether a request is for the model at the provider that the catalog has it at."""
    model, name, provider = candidate.provider, candidate.name, asked.provider
    if model.is_host:  # the switch of one host says nothing of another
        return provider in (model, Provider("")) or asked.name.host == model.name
    if name.family and name.family == model.name:
        return True  # the maker's own model, wherever it is served
    if not (provider.is_host or provider.name in ("", model.name)):
        return False
    if name.owner and not is_known_vendor(name.owner):  # the catalog has it as `lab/turbo`
        return asked.name.owner == name.owner
    return asked.name.owner in ("", model.name, name.owner, name.family)


def _best_builds(candidates: Sequence[_Candidate], name: ModelName) -> Sequence[_Candidate]:
    """Returns the candidates whose names say the most of the build that `name` asks for."""
    ranks = [_rank(each.name, name) for each in candidates]
    best = max(ranks, default=0)
    return [each for each, rank in zip(candidates, ranks, strict=True) if rank == best]


def _rank(model: ModelName, name: ModelName) -> int:
    same_build = (model.date, model.version, model.preview) == (
        name.date,
        name.version,
        name.preview,
    )
    same_generation = model.generation == name.generation
    said = (model.date and name.date, model.version and name.version, model.preview)
    return 8 * same_generation + 4 * same_build + sum(map(bool, said))
