"""The section of a policy file about exceptions: names in place of ids, and who must approve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain import policy_exception, policy_pack, static_policy, tenant_settings
from pdp.domain.policy_exception import MAX_TENANT_PATTERNS, ExceptionState, new_approval
from pdp.policy_files.builder import defaults_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.policy_files.builder import Author, StateBuilder
    from pdp.policy_files.entries import Entry
    from pdp.policy_files.state import Body, State

SEPARATOR: Final = " > "
"""Between the names of a pack and of its rule."""


class ExceptionSection:
    """Reads the exceptions of a file into the state of a builder."""

    def __init__(self, builder: StateBuilder) -> None:
        self._builder = builder
        self._rules: dict[str, list[str]] | None = None

    def read(self, entries: Sequence[Entry]) -> None:
        """Reads the entries. An exception that does not change keeps its approval."""
        builder, kind = self._builder, policy_exception.KIND
        builder.bodies(kind, cleared=True)
        for entry in entries:
            given = {**entry.fields, **self._references(entry)}
            exception_id = builder.id_of(kind, given["name"])
            present = builder.present.get(kind, {}).get(exception_id)
            owner = given.get("owner") or (present or {}).get("owner") or builder.author.name
            body = builder.body(kind, given, id=exception_id, owner=owner)
            body = self._decided(body, present)
            if body.get("valid_until") is None and not self._may_be_permanent():
                reason = "is required; the tenant setting permanent_exceptions allows none"
                builder.refuse(f"{entry.path}valid_until", reason)
            builder.put(kind, exception_id, entry, body)
        self._check_patterns()

    def _decided(self, body: Body, present: Body | None) -> Body:
        """Returns an exception with its state: the present one if nothing else changes."""
        if present is not None and same_request(body, present):
            return with_approval_of(body, present)
        author = self._builder.author
        return proposed(body, author, needs_approval=needs_approval(author, *self._states()))

    def _states(self) -> tuple[State, State]:
        builder = self._builder
        kind = tenant_settings.KIND
        return builder.present, {kind: dict(builder.current(kind))}

    def _may_be_permanent(self) -> bool:
        settings = self._builder.current(tenant_settings.KIND).get(tenant_settings.ID, {})
        return self._builder.author.may_be_permanent or bool(settings.get("permanent_exceptions"))

    def _check_patterns(self) -> None:
        exceptions = self._builder.bodies(policy_exception.KIND).values()
        count = sum(len(each.get("value_patterns") or ()) for each in exceptions)
        if count > MAX_TENANT_PATTERNS:
            reason = f"a tenant may have at most {MAX_TENANT_PATTERNS} value patterns, not {count}"
            self._builder.refuse("policies.exceptions", reason)

    def _references(self, entry: Entry) -> dict[str, list[str]]:
        """Returns the lists of an exception that refer to policies, with ids in place of names."""
        find: dict[str, Callable[[str, str], str]] = {
            "policies": self._static_policy,
            "dlp_rules": self._builder.rule_id,
            "rules": self._pack_rule,
        }
        return {
            name: [
                resolve(each, f"{entry.path}{name}[{index}]")
                for index, each in enumerate(entry.fields[name])
            ]
            for name, resolve in find.items()
            if name in entry.fields
        }

    def _static_policy(self, name: str, path: str) -> str:
        builder = self._builder
        own = builder.current_ids(static_policy.KIND)
        policy_id = own.get(name) or builder.shipped.system_policy(name)
        return builder.found(policy_id, name, path, "static policy")

    def _pack_rule(self, name: str, path: str) -> str:
        builder = self._builder
        if self._rules is None:
            self._rules = self._rules_by_name()
        ids = self._rules.get(name, ())
        if len(ids) > 1:
            builder.refuse(path, f'several rules are named "{name}"; write Pack{SEPARATOR}Rule')
        rule_id = ids[0] if ids else builder.shipped.pack_rule(name)
        return builder.found(rule_id, name, path, "rule of a pack")

    def _rules_by_name(self) -> dict[str, list[str]]:
        """Returns the ids of the rules of the tenant's packs, by each of their names."""
        rules = self._builder.current(policy_pack.RULE_KIND)
        ids: dict[str, list[str]] = {rule_id: [rule_id] for rule_id in rules}
        for rule_id, names in rule_names(self._builder.current(policy_pack.KIND), rules).items():
            for name in names:
                ids.setdefault(name, []).append(rule_id)
        return ids


def rule_names(packs: Mapping[str, Body], rules: Mapping[str, Body]) -> dict[str, tuple[str, str]]:
    """Returns the names of each rule of a tenant's packs: by itself, and with its pack."""
    return {
        rule_id: (rule["name"], f"{packs[rule['pack_id']]['name']}{SEPARATOR}{rule['name']}")
        for rule_id, rule in rules.items()
        if rule["pack_id"] in packs
    }


def same_request(body: Body, present: Body) -> bool:
    """Whether two exceptions ask for the same; state and times do not count."""
    ignored = {*ExceptionState._fields, "created_at", "updated_at"}
    defaults = defaults_of(policy_exception.KIND)
    return all(
        _value(body, name, default) == _value(present, name, default)
        for name, default in {**defaults, "name": "", "id": ""}.items()
        if name not in ignored
    )


def _value(body: Body, name: str, default: Any) -> Any:
    value = body.get(name, default)
    return list(value) if isinstance(value, tuple) else value


def needs_approval(author: Author, *states: State) -> bool:
    """Whether another person must approve: by the settings before a change, or after it."""
    if author.needs_no_approval:
        return False
    kind, policy_id = tenant_settings.KIND, tenant_settings.ID
    return any(
        state.get(kind, {}).get(policy_id, {}).get("exceptions_need_approval") for state in states
    )


def proposed(body: Body, author: Author, *, needs_approval: bool) -> Body:
    """Returns an exception as its author makes it: proposed, or approved if that is enough."""
    return {**body, **new_approval(author.name, needs_approval=needs_approval)._asdict()}


def with_approval_of(body: Body, present: Body) -> Body:
    """Returns an exception that stands where `present` does."""
    return {**body, **{name: present.get(name, "") for name in ExceptionState._fields}}
