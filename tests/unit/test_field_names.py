"""Names of fields are compared by their words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.engine.rules.field_names import MAX_KEPT, MAX_NAME, is_one_of, spellings_of

WORDS = st.lists(st.sampled_from(("user", "card", "ssn", "mail", "größe")), min_size=1)


@pytest.mark.parametrize(
    ("sensitive", "name"),
    [
        ("ssn", "SSN"),
        ("SSN", "ssn"),
        ("ssn", "Ssn"),
        ("ssn", " ssn "),
        ("ssn", "user.ssn"),
        ("ssn", "schema.users.SSN"),
        ("ssn", "rows[0].ssn"),
        ("ssn", "ssn[0]"),
        ("ssn", "ssn[]"),
        ("ssn", "/rows/0/ssn"),
        ("ssn", 'user["ssn"]'),
        ("ssn", '"ssn"'),
        ("ssn", "ＳＳＮ"),  # noqa: RUF001 - full-width letters
        ("credit_card", "credit-card"),
        ("credit_card", "creditCard"),
        ("credit_card", "CreditCard"),
        ("credit_card", "CREDIT_CARD"),
        ("credit_card", "credit card"),
        ("creditCard", "credit_card"),
        ("creditCard", "creditcard"),
        ("user_id", "userID"),
        ("http_header", "HTTPHeader"),
        ("address_line_2", "addressLine2"),
        ("user.ssn", "User.SSN"),
        ("größe", "GRÖSSE"),
        ("steuer_größe", "steuerGröße"),
        ("生年月日", "生年月日"),
    ],
)
def test_spellings_of_one_name(sensitive: str, name: str) -> None:
    assert is_one_of(name, spellings_of([sensitive]))


@pytest.mark.parametrize(
    ("sensitive", "name"),
    [
        ("ssn", ""),
        ("ssn", "."),
        ("ssn", "ssns"),
        ("ssn", "ssn_hash"),
        ("ssn", "ssnHash"),
        ("ssn", "hashedSsn"),
        ("ssn", "ssn.hash"),
        ("ssn", "ssn.hash[0]"),
        ("email", "e_mail"),
        ("email", "E-Mail"),
        ("e_mail", "email"),
        ("credit_card", "creditcard"),
        ("credit_card", "card_credit"),
        ("credit_card", "credit"),
        ("credit_card", "credit.card"),
        ("user.ssn", "ssn"),
        ("user.ssn", "user_ssn"),
        ("user.ssn", "admin.ssn"),
        ("line_2", "line_3"),
        ("***", "---"),
    ],
)
def test_other_names(sensitive: str, name: str) -> None:
    assert not is_one_of(name, spellings_of([sensitive]))


@given(WORDS)
def test_all_ways_to_join_words_are_one_name(words: list[str]) -> None:
    sensitive = spellings_of(["_".join(words)])
    for separator in ("-", " ", "__"):
        assert is_one_of(separator.join(words).upper(), sensitive)
    camel = words[0] + "".join(map(str.capitalize, words[1:]))
    assert is_one_of(camel, sensitive)
    assert is_one_of(f"a.b.{camel}", sensitive)
    assert not is_one_of(f"{camel}Hash", sensitive)


@given(st.text(max_size=40), st.text(max_size=40))
def test_every_text_can_be_compared(sensitive: str, name: str) -> None:
    assert is_one_of(sensitive, spellings_of([sensitive])) == bool(spellings_of([sensitive]))
    is_one_of(name, spellings_of([sensitive]))


@pytest.mark.parametrize("length", [MAX_KEPT, MAX_KEPT + 1, MAX_NAME, MAX_NAME + 1])
def test_long_names_are_compared_by_their_end(length: int) -> None:
    name = "x" * (length - 4) + ".SSN"
    assert is_one_of(name, spellings_of(["ssn"]))


def test_characters_before_the_bound_are_not_compared() -> None:
    name = "x" * MAX_NAME
    assert is_one_of("y" + name, spellings_of([name]))
    assert not is_one_of(name[1:] + "y", spellings_of([name]))
