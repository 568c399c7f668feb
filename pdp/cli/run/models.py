"""Runs `pdp models`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.cli.connect import connect
from pdp.cli.failures import exit_on_failure
from pdp.cli.output.report import Report, Table, print_json, show
from pdp.cli.request import to_message
from pdp.jsonpb import encode

if TYPE_CHECKING:
    from pdp.cli.options.target import TargetOptions

_COLUMNS: Final = ("model", "tier", "state", "since", "reason")


def list_models(target: TargetOptions, provider: str, tier: str, *, as_json: bool) -> None:
    """Prints the models of the catalog."""
    body = {"provider": provider, "tier": tier}
    answer = _call(target, "ListModelConfigs", body, as_json=as_json)
    models = answer["models"]
    if as_json:
        print_json(models)
        return
    off = sum(each["kill_switch_active"] for each in models)
    table = Table("Models", _COLUMNS, [_row(each) for each in models])
    show(Report(f"{len(models)} models, {off} switched off", tables=[table]))


def switch_off(target: TargetOptions, body: dict[str, Any], *, as_json: bool) -> None:
    """Switches a model off, and prints its state."""
    _switch(target, "DisableModelByName", body, as_json=as_json)


def switch_on(target: TargetOptions, body: dict[str, Any], *, as_json: bool) -> None:
    """Switches a model on, and prints its state."""
    _switch(target, "EnableModelByName", body, as_json=as_json)


def _switch(target: TargetOptions, rpc: str, body: dict[str, Any], *, as_json: bool) -> None:
    state = _call(target, rpc, body, as_json=as_json)["state"]
    if as_json:
        print_json(state)
        return
    name = f"{state['provider']}/{state['model_id']}"
    if not state["kill_switch_active"]:
        show(Report(f"{name} is on"))
        return
    facts = [("since", state["kill_switch_disabled_at"]), ("reason", state["disabled_reason"])]
    show(Report(f"{name} is off", style="bold red", facts=facts))


def _call(
    target: TargetOptions, rpc: str, body: dict[str, Any], *, as_json: bool
) -> dict[str, Any]:
    with exit_on_failure(as_json=as_json):
        message = to_message(rpc, {name: value for name, value in body.items() if value})
        with connect(target) as client:
            return encode(client.call(rpc, message).message)
    raise AssertionError  # exit_on_failure ends the process


def _row(model: dict[str, Any]) -> list[str]:
    state = "off" if model["kill_switch_active"] else "on"
    return [
        f"{model['provider']}/{model['model_id']}",
        model["tier"] or "-",
        state if model["is_active"] else f"{state}, not offered",
        model["kill_switch_disabled_at"] or "-",
        model["disabled_reason"] or "-",
    ]
