"""What searches can find: the names that a tenant's policies and the model catalog have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.adapters.authzen.mapping import AGENT, AUTHZEN, MODEL, TOOL, is_of_type, word
from pdp.domain import customer_policy, model_catalog, policy_chain, policy_pack
from pdp.domain.user_group import all_groups

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pdp.engine.snapshot import Snapshot

USER_TYPES: Final = ("user", "identity")
"""The types of subjects that are users. COAZ calls them identities."""

CALL_TOOL: Final = "tools/call"
"""The action on a tool, as COAZ calls it."""

USE_MODEL: Final = "invoke"
"""The action on a model."""


def subjects(snapshot: Snapshot, kind: str) -> set[str]:
    """Returns the ids of the subjects of a type that the policies name.

    Users are the members of user groups, and those with a chain of their own. Agents are those that
    chain rules name.
    """
    if kind.lower() in USER_TYPES:
        return set(_users(snapshot))
    return set(_conditions(snapshot, "agent_ids")) if is_of_type(kind, AGENT) else set()


def resources(snapshot: Snapshot, kind: str) -> set[str]:
    """Returns the ids of the resources of a type that the server knows.

    Models are those that the catalog offers, as `provider/model`. Tools are those that customer
    policies, chain rules and the tenant's table of actions name.
    """
    if is_of_type(kind, MODEL):
        models = snapshot.platform.policies.of_kind(model_catalog.KIND).values()
        return {each.name for each in models if each.is_active}
    return set(_tools(snapshot)) if is_of_type(kind, TOOL) else set()


def actions(snapshot: Snapshot, resource_type: str) -> set[str]:
    """Returns the names of the actions that may be possible on a resource of a type.

    On other resources than tools and models these are the actions that policies name. Actions that
    are made from names, `authzen:<type>:<name>`, are those of their type, by their names.
    """
    if is_of_type(resource_type, TOOL):
        return {CALL_TOOL}
    if is_of_type(resource_type, MODEL):
        return {USE_MODEL}
    scope = f"{AUTHZEN}:{word(resource_type)}:"
    names = set()
    for action in _actions(snapshot):
        if action.startswith(scope):
            names.add(action.removeprefix(scope))
        elif not action.startswith(f"{AUTHZEN}:"):
            names.add(action)
    return {each for each in names if each and "*" not in each}


def _users(snapshot: Snapshot) -> Iterator[str]:
    for group in all_groups(snapshot.platform.policies, snapshot.policies).values():
        yield from group.members
    for chain in snapshot.policies.of_kind(policy_chain.KIND).values():
        if chain.user_id:
            yield chain.user_id


def _tools(snapshot: Snapshot) -> Iterator[str]:
    yield from _literal(_conditions(snapshot, "tools"))
    for policy in snapshot.policies.of_kind(customer_policy.KIND).values():
        yield from _literal(policy.texts(customer_policy.ALLOWED_TOOLS))
    for entry in snapshot.settings.tool_actions or ():
        yield from _literal([entry["tool"]])


def _actions(snapshot: Snapshot) -> Iterator[str]:
    yield from _conditions(snapshot, "actions")
    for policy in snapshot.policies.of_kind(customer_policy.KIND).values():
        for key in (
            customer_policy.BLOCKED_ACTIONS,
            customer_policy.BLOCKED_ACTION_PATTERNS,
            customer_policy.ALLOWED_ACTION_PATTERNS,
        ):
            yield from policy.texts(key)
    for entry in snapshot.settings.tool_actions or ():
        yield entry["action"]


def _conditions(snapshot: Snapshot, name: str) -> Iterator[str]:
    """Yields the texts of a condition in all rules of the tenant's own packs."""
    for rule in snapshot.policies.of_kind(policy_pack.RULE_KIND).values():
        conditions: Mapping[str, Any] = rule.conditions
        yield from conditions.get(name) or ()


def _literal(names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if "*" not in name)
