"""Finds which of the models and providers that policies name are those of a request.

A policy that stops requests names models *widely*: a tier means all of its models, and other names
of a model count (dates, vendors, regions, fine-tuned forms). A policy that lets requests through
names them *narrowly*: a name counts exactly, or by the `*` that is written (decide.md, Models).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.model_catalog import TIERS, normalize_name
from pdp.domain.model_names import read_name, read_provider
from pdp.engine.rules.globs import GlobIndex, is_glob
from pdp.engine.rules.model_aliases import NameAliases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pdp.domain.model_catalog import ModelConfig
    from pdp.engine.rules.models import ModelIndex

MAX_CACHED: Final = 1024
"""The number of requested models whose results are cached: requests repeat a few models."""

MAX_SUFFIXES: Final = 8
"""The number of endings of a name that wide globs are compared with: `claude-x` in
`us.anthropic.claude-x`."""

_NONE: Final[frozenset[str]] = frozenset()


class RequestedModel(NamedTuple):
    """Which written names mean the model of a request. All names are normalized.

    Attributes:
        is_named: whether the request names a model.
        provider: its provider, or the one in the catalog; empty if unknown.
        narrow: the written models that mean it narrowly.
        wide: those that mean it widely; they include `narrow`.
        narrow_providers: the written providers that mean its provider narrowly.
        wide_providers: those that mean it widely.
    """

    is_named: bool = False
    provider: str = ""
    narrow: frozenset[str] = _NONE
    wide: frozenset[str] = _NONE
    narrow_providers: frozenset[str] = _NONE
    wide_providers: frozenset[str] = _NONE

    def models(self, *, wide: bool) -> frozenset[str]:
        """Returns the written models that mean the model of the request."""
        return self.wide if wide else self.narrow

    def providers(self, *, wide: bool) -> frozenset[str]:
        """Returns the written providers that mean the provider of the request."""
        return self.wide_providers if wide else self.narrow_providers


NO_MODEL: Final = RequestedModel()


class ModelMatcher:
    """Compares requests with all model names and providers that some policies name. Immutable.

    Attributes:
        read: returns which names mean a model, given its provider and its name; cached.
    """

    __slots__ = ("_names", "read")

    read: Callable[[str, str], RequestedModel]

    def __init__(self, names: Iterable[str], providers: Iterable[str], models: ModelIndex) -> None:
        """Args:
        names: models as they are written: names, tiers, and names with `*`.
        providers: providers as they are written.
        models: the model catalog.
        """
        self._set(_WrittenNames(names, providers), models)

    def _set(self, names: _WrittenNames, models: ModelIndex) -> None:
        self._names = names
        # A cache of a method of this object would refer to it: a cycle (pdp/server/garbage.py).
        self.read = lru_cache(MAX_CACHED)(_ModelReader(names, models))

    def with_models(self, models: ModelIndex) -> ModelMatcher:
        """Returns a matcher for the same names with another catalog. Cheap."""
        matcher = object.__new__(ModelMatcher)
        matcher._set(self._names, models)
        return matcher

    def matches(self, provider: str, model: str, *, wide: bool) -> bool:
        """Whether any of the written models means a model.

        Args:
            provider: the provider of the request; empty if it names none.
            model: the model of the request.
            wide: whether other names of the model count. Use False for what lets requests through.
        """
        return bool(self.read(provider, model).models(wide=wide))

    def matches_provider(self, provider: str, model: str, *, wide: bool) -> bool:
        """Whether any of the written providers means the provider of a model. As for `matches`."""
        return bool(self.read(provider, model).providers(wide=wide))


class _WrittenNames:
    """The names of policies, indexed. Independent of the catalog."""

    __slots__ = ("aliases", "exact", "globs", "providers", "providers_by_company", "tiers")

    def __init__(self, names: Iterable[str], providers: Iterable[str]) -> None:
        written = {normalize_name(name) for name in names}
        self.exact = frozenset(name for name in written if not is_glob(name))
        self.globs = GlobIndex(filter(is_glob, written))
        self.tiers = self.exact.intersection(TIERS)
        self.aliases = NameAliases(self.exact - self.tiers)
        self.providers = frozenset(map(normalize_name, providers))
        by_company: dict[str, set[str]] = {}
        for provider in self.providers:
            by_company.setdefault(read_provider(provider).name, set()).add(provider)
        self.providers_by_company = by_company


class _ModelReader:
    """Reads a request's model: see `ModelMatcher.read`."""

    __slots__ = ("_models", "_written")

    def __init__(self, written: _WrittenNames, models: ModelIndex) -> None:
        self._written = written
        self._models = models

    def __call__(self, provider: str, name: str) -> RequestedModel:
        plain, plain_provider = normalize_name(name), normalize_name(provider)
        written, model = self._written, None
        names: set[str] = set()
        if plain:
            model = self._models.resolve(plain, plain_provider).model
            names = set(_exact_names(plain, plain_provider, model))
        narrow_provider = plain_provider or (normalize_name(model.provider) if model else "")
        narrow = written.exact.intersection(names) | written.globs.matching(names)
        narrow_providers = written.providers.intersection((narrow_provider,))
        meant = self._models.meant(plain, plain_provider) if plain else ()
        return RequestedModel(
            bool(plain),
            narrow_provider,
            narrow,
            self._wide(narrow, names, plain, plain_provider, meant) if plain else narrow,
            narrow_providers,
            narrow_providers | self._wide_providers(plain, plain_provider, meant),
        )

    def _wide(
        self,
        narrow: frozenset[str],
        names: set[str],
        name: str,
        provider: str,
        meant: tuple[ModelConfig, ...],
    ) -> frozenset[str]:
        written = self._written
        for model in meant:
            names |= {normalize_name(model.model_id), normalize_name(model.name)}
            names.update(map(normalize_name, model.aliases))
        tiers = {model.tier for model in meant}.union(read_name(name).words)
        endings = {*_endings(name), f"{provider}/{name}"}
        return (
            narrow
            | written.exact.intersection(names)
            | written.tiers.intersection(tiers)
            | written.aliases.find(name, provider)
            | written.globs.matching(names | endings)
        )

    def _wide_providers(
        self, name: str, provider: str, meant: tuple[ModelConfig, ...]
    ) -> frozenset[str]:
        """Returns the providers that a request means, and those that the model's name has."""
        by_company = self._written.providers_by_company
        if not by_company:
            return _NONE
        companies = {read_provider(provider).name}
        if name:
            read = read_name(name)
            companies |= {read.owner, read.host}
        if not provider:
            companies |= {read_provider(model.provider).name for model in meant}
        return frozenset().union(*(by_company.get(each, _NONE) for each in companies - {""}))


def _exact_names(name: str, provider: str, model: ModelConfig | None) -> Iterator[str]:
    yield name
    if provider:
        yield f"{provider}/{name}"
    # An alias is another name of the model, not the name that a policy has written.
    if model is not None and name not in map(normalize_name, model.aliases):
        yield normalize_name(model.model_id)
        yield normalize_name(model.name)


def _endings(name: str) -> list[str]:
    """Returns the last endings of a name that begin after a separator."""
    starts = [index + 1 for index, character in enumerate(name) if character in "/.:@"]
    return [name[start:] for start in starts[-MAX_SUFFIXES:]]
