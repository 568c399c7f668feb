"""Hypothesis strategies for conditions and requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from pdp.domain.request import Request, Subject, Target
from tests.support.condition_trees import TIMESTAMP, UNITS, Tree

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPED_NAMES: Final = {
    "number": ("n", "risk_score", "target.sensitivity_level"),
    "text": ("t", "arguments.t", "subject.user_id", "action.domain", "direction"),
    "list": ("l", "subject.groups", "target.classifications"),
}
"""Names by the usual type of their values, so that some results are not unknown."""

DOCUMENT_NAMES: Final = (
    "a",
    "b",
    "c.d",
    "context.a",
    "arguments.p",
    "arguments.q.r",
    "subject.team",
    "subject.attributes.team",
    "unset",
)
FIELD_NAMES: Final = (
    "action",
    "action.domain",
    "action.scope",
    "action.verb",
    "tool",
    "direction",
    "channel",
    "risk_score",
    "arguments",
    "subject.user_id",
    "subject.agent_id",
    "subject.groups",
    "subject.risk_score",
    "subject.attributes",
    "model.provider",
    "model.model",
    "target.resource_type",
    "target.resource_id",
    "target.sensitivity_level",
    "target.classifications",
    "target.fields",
)
TEXTS: Final = (
    "",
    "a",
    "A",
    "ab",
    "x_y%z",
    "straße",
    "PII",
    "line\nbreak",
    'it\'s "so" \\',
    "2026-02-26",
    "2026-02-26T23:30:00Z",
    "2026-03-29T02:30:00",
    "2026-02-26t23:30:00.5+05:30",
    "2026-02-30",
    "😀",
)
NUMBERS: Final = (
    0,
    1,
    -1,
    2,
    3,
    0.5,
    1.0,
    6,
    22,
    1e-300,
    1e308,
    9007199254740992,
    9007199254740993,
    2**64 - 1,
)
TIMESTAMPS: Final = (0.0, 1772078400.0, 1774746000.25, 1e9, -1.5, 253402300799.0, 1e12, 951782399.9)

texts = st.sampled_from(TEXTS)
numbers = st.sampled_from(NUMBERS)
scalars: st.SearchStrategy[Tree] = st.one_of(
    st.tuples(st.just("text"), texts),
    st.tuples(st.just("number"), numbers),
    st.tuples(st.just("boolean"), st.booleans()),
    st.just(("null",)),
)
lists: st.SearchStrategy[Tree] = st.lists(scalars, max_size=3).map(lambda items: ("list", *items))
document_names: st.SearchStrategy[Tree] = st.tuples(
    st.just("name"), st.sampled_from(DOCUMENT_NAMES)
)
names: st.SearchStrategy[Tree] = st.one_of(
    document_names,
    st.tuples(st.just("name"), st.sampled_from(FIELD_NAMES)),
    st.just(TIMESTAMP),
)


def _call(functions: list[str], *arguments: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.tuples(st.just("call"), st.sampled_from(functions), *arguments)


def _values(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    """Returns expressions with `inner` as operands."""
    units = st.sampled_from(sorted(UNITS)).map(lambda unit: ("text", unit))
    return st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "/", "%"]), inner, inner),
        st.tuples(st.just("negative"), inner),
        _call(["hour", "minute", "day_of_week", "date"], st.just(TIMESTAMP) | inner),
        _call(["timestamp_diff"], st.just(TIMESTAMP) | inner, inner),
        _call(["timestamp_diff"], st.just(TIMESTAMP) | inner, inner, units),
        _call(["length", "lower", "upper", "count"], inner),
        _call(["count"], inner, inner),
    )


values: st.SearchStrategy[Tree] = st.recursive(
    scalars | lists | names | names, _values, max_leaves=4
)
patterns = st.text(st.sampled_from("%_ab\\Pé"), max_size=5)
expressions = st.sampled_from(["a", "^a", "[A-Z]+$", "(?i)pii", "^$", "é|ß", "\\\\"])
comparisons: st.SearchStrategy[Tree] = st.one_of(
    st.tuples(st.sampled_from(["=", "==", "!=", "<", "<=", ">", ">="]), values, values),
    st.tuples(st.sampled_from(["between", "not between"]), values, values, values),
    st.tuples(
        st.sampled_from(["in", "not in"]), values, st.lists(values, min_size=1, max_size=3)
    ).map(lambda parts: (parts[0], parts[1], *parts[2])),
    st.tuples(st.sampled_from(["like", "not like"]), values, patterns),
    st.tuples(st.sampled_from(["matches", "not matches"]), values, expressions),
    st.tuples(st.sampled_from(["is null", "is not null"]), values),
    _call(["has"], names),
    _call(["contains", "starts_with", "ends_with", "any", "all"], values, values),
    _call(["any", "all"], values),
    document_names,
)


def _typed(type_name: str, constants: st.SearchStrategy[Any]) -> st.SearchStrategy[Tree]:
    return st.tuples(st.just("name"), st.sampled_from(TYPED_NAMES[type_name])) | constants.map(
        lambda value: (type_name, value)
    )


typed_numbers = _typed("number", numbers)
typed_texts = _typed("text", texts)
typed_lists = st.tuples(st.just("name"), st.sampled_from(TYPED_NAMES["list"])) | lists
typed_booleans: st.SearchStrategy[Tree] = st.one_of(
    st.just(("name", "f")), st.booleans().map(lambda value: ("boolean", value))
)
hours = st.integers(0, 23)
clock_numbers = _call(["hour", "minute", "day_of_week"], st.just(TIMESTAMP) | typed_texts)
calculated = st.tuples(st.sampled_from(["+", "-", "*", "/", "%"]), typed_numbers, typed_numbers)
typed_comparisons: st.SearchStrategy[Tree] = st.one_of(
    st.tuples(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), typed_numbers, typed_numbers),
    st.tuples(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), typed_texts, typed_texts),
    st.tuples(st.just("between"), typed_numbers, typed_numbers, typed_numbers),
    st.tuples(st.sampled_from(["in", "not in"]), typed_texts, typed_texts, typed_texts),
    st.tuples(st.sampled_from(["in", "not in"]), typed_texts, typed_lists),
    st.tuples(st.sampled_from(["in", "not in"]), typed_numbers, typed_numbers, typed_numbers),
    st.tuples(st.sampled_from(["like", "not like"]), typed_texts, patterns),
    _call(["contains", "any", "all"], typed_lists, typed_texts),
    _call(["contains", "starts_with", "ends_with"], typed_texts, typed_texts),
    _call(["any", "all"], typed_lists, typed_lists),
    st.tuples(
        st.sampled_from(["=", ">"]),
        _call(["count", "length"], typed_lists) | _call(["count"], typed_lists, typed_lists),
        st.integers(0, 3).map(lambda value: ("number", value)),
    ),
    st.tuples(st.sampled_from(["<", "="]), clock_numbers, st.tuples(st.just("number"), hours)),
    st.tuples(st.sampled_from(["=", ">"]), calculated, typed_numbers | calculated),
    st.tuples(st.just("between"), calculated, typed_numbers, typed_numbers),
    st.tuples(st.sampled_from(["=", "in"]), typed_booleans, typed_booleans | typed_numbers),
)


def _joined(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=4)).map(
            lambda parts: (parts[0], *parts[1])
        ),
        st.tuples(st.sampled_from(["=", "!="]), inner, inner),
        st.tuples(st.just("is null"), inner),
    )


conditions: st.SearchStrategy[Tree] = st.recursive(
    typed_comparisons | comparisons, _joined, max_leaves=6
)

odd_numbers = st.sampled_from([float("nan"), float("inf"), -0.0, 10**400, 2**63])
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | odd_numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("dr"), inner),
    max_leaves=4,
)
typed = {
    "n": numbers | odd_numbers | json_values,
    "t": texts | texts | json_values,
    "l": st.lists(texts, max_size=3) | st.lists(numbers | odd_numbers, max_size=2) | json_values,
    "f": st.booleans() | json_values,
}
labels = st.lists(texts, max_size=3).map(tuple)
optional_texts = st.none() | texts.filter(bool)
documents = st.fixed_dictionaries(
    {
        "timestamp": st.sampled_from(TIMESTAMPS),
        "direction": st.sampled_from(["input", "output"]),
        "channel": st.sampled_from(["interactive", "api"]),
        "subject": st.fixed_dictionaries(
            {"groups": labels},
            optional={
                "user_id": optional_texts,
                "risk_score": st.none() | st.sampled_from([0, 0.4, 1.0]),
                "attributes": st.none() | st.dictionaries(st.just("team"), json_values),
            },
        ),
        "target": st.fixed_dictionaries(
            {"classifications": labels, "fields": labels},
            optional={"resource_id": optional_texts, "sensitivity_level": st.integers(0, 5)},
        ),
    },
    optional={
        "action": st.sampled_from(["database:table:drop", "a:b:c.d", "a:b:a"]),
        "tool": optional_texts,
        "model": st.fixed_dictionaries({}, optional={"provider": optional_texts}),
        "context": st.none()
        | st.fixed_dictionaries(typed, optional=dict.fromkeys("abc", json_values)),
        "arguments": st.none()
        | st.fixed_dictionaries({"t": texts}, optional=dict.fromkeys("pq", json_values)),
    },
)


def request_of(document: Mapping[str, Any]) -> Request:
    """Returns the request for a JSON document. Null members count as missing."""
    fields = {name: value for name, value in document.items() if value is not None}
    model = fields.pop("model", {})
    fields |= {name: model[name] for name in ("provider",) if model.get(name)}
    fields["subject"] = Subject(**{k: v for k, v in fields["subject"].items() if v is not None})
    fields["target"] = Target(**{k: v for k, v in fields["target"].items() if v is not None})
    return Request(**fields)
