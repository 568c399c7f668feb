"""Finds a model of the catalog by its name, as people write it: `openai/gpt-4o`, or `gpt-4o`.

A name means a model here only if the catalog has it, so that a write changes the model that its
author named and no other. Names that mean a model elsewhere (dated, of another host, a tier) are
suggested.
"""

from __future__ import annotations

from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Final

from pdp.admin.model_catalog import read_models
from pdp.domain.model_catalog import ModelConfig, normalize_name
from pdp.engine.rules.models import ModelIndex
from pdp.errors import InvalidArgument, ModelNotFound, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdp.store.port import Reader

MAX_CANDIDATES: Final = 10
"""Models that an error about an ambiguous name lists."""

MAX_SUGGESTIONS: Final = 3
"""Names that an error about an unknown name suggests."""


def find_model_by_name(reader: Reader, provider: str, name: str) -> ModelConfig:
    """Returns the one model with a name.

    Args:
        reader: reads the catalog.
        provider: the provider of the model; empty if `name` has it, or if only one provider has a
            model with the name.
        name: the model id, or `provider/model id`. Case is ignored.

    Raises:
        InvalidArgument: several models have the name.
        ModelNotFound: the catalog has no model with the name; the message suggests names.
    """
    models = read_models(reader)
    matches = list(_matches(models, normalize_name(provider), normalize_name(name)))
    if len(matches) == 1:
        return matches[0]
    if matches:
        listed = ", ".join(model.name for model in matches[:MAX_CANDIDATES])
        rest = len(matches) - MAX_CANDIDATES
        more = f" and {rest} more" if rest > 0 else ""
        reason = f"is required: {name} may be {listed}{more}"
        raise InvalidArgument.of(Violation("provider", reason))
    full_name = _full_name(provider, name)
    near = _suggestions(models, provider, name)
    advice = f"did you mean {' or '.join(near)}?" if near else "see `pdp models list`"
    raise ModelNotFound(
        f"the catalog has no model {full_name}; {advice}", Violation("model", advice)
    )


def _matches(models: Sequence[ModelConfig], provider: str, name: str) -> Iterator[ModelConfig]:
    for model in models:
        names = (normalize_name(model.model_id), normalize_name(model.name))
        if name in names and provider in {"", normalize_name(model.provider)}:
            yield model


def _full_name(provider: str, name: str) -> str:
    return f"{provider}/{name}" if provider.strip() else name


def _suggestions(models: Sequence[ModelConfig], provider: str, name: str) -> list[str]:
    """Returns names of the catalog: what the name means elsewhere first, then similar ones."""
    index = ModelIndex(models)
    meant = (index.resolve(name, provider).model, index.find_alias(name, provider))
    wanted = normalize_name(_full_name(provider, name))
    # A name without a provider is compared with model ids, so that `gpt4o` is near to `gpt-4o`.
    full = "/" in wanted
    by_name = {
        normalize_name(model.name if full else model.model_id): model.name for model in models
    }
    near = get_close_matches(wanted, by_name, n=MAX_SUGGESTIONS)
    names = dict.fromkeys(
        [model.name for model in meant if model is not None] + [by_name[each] for each in near]
    )
    return list(islice(names, MAX_SUGGESTIONS))
