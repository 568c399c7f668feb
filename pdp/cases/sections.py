"""The keys that a suite may have under `policies` beside those of a policy file.

Models and kill switches belong to the platform, not to a tenant, so a policy file does not have
them. A suite puts them in force by the RPCs that users call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.cases.model import JsonObject


def _resolve_nothing(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    return body


@dataclass(frozen=True, slots=True)
class PlatformSection:
    """How entries under one key are put in force and removed.

    Attributes:
        create: the RPC that puts an entry in force; the entry is its request.
        delete: the RPC that removes it.
        identify: returns the request of `delete`, from the entry and the response of `create`.
        aliases: key names in suites, with the field of the RPC's request that each stands for.
        resolve: returns an entry with ids in place of names, from the earlier calls: the RPC and
            the response of each.
    """

    create: str
    delete: str
    identify: Callable[[JsonObject, JsonObject], JsonObject]
    aliases: Mapping[str, str]
    resolve: Callable[[JsonObject, Sequence[tuple[str, JsonObject]]], JsonObject] = _resolve_nothing


def _of_model(answer: JsonObject) -> JsonObject:
    model: JsonObject = answer.get("model", answer)  # over HTTP it is the whole body
    return model


def _model_config_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    return {"model_config_id": _of_model(answer)["id"]}


def _switched_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    state: JsonObject = answer.get("state", answer)
    return {"model_config_id": state["id"]}


def _resolve_models(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    """Replaces `provider/model_id` of the suite's models in a kill switch."""
    models = [_of_model(answer) for name, answer in earlier if name == "CreateModelConfig"]
    ids = {f"{model['provider']}/{model['model_id']}": model["id"] for model in models}
    name = body.get("model_config_id", "")
    return {**body, "model_config_id": ids.get(name, name)}


SECTIONS: Final[Mapping[str, PlatformSection]] = {
    # Models belong to the platform, so a suite should use its own provider name.
    "models": PlatformSection("CreateModelConfig", "DeleteModelConfig", _model_config_id, {}),
    "kill_switch": PlatformSection(
        "DisableModel", "EnableModel", _switched_id, {"model": "model_config_id"}, _resolve_models
    ),
}
"""In the order in which entries are put in force."""
