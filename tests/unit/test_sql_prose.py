"""SQL in prose: what counts as talk, what does not, and the bounds of the measure."""

from __future__ import annotations

import re

import pytest

from pdp.engine.text import sql_prose
from pdp.engine.text.sql_prose import MAX_SPANS, MAX_SQL, WINDOW, SqlProse

SQL = re.compile(
    r"(?i)union\s+(?:all\s+)?select|['\"\d]*\s*\bor\s+'?1'?\s*=\s*'?1|\bsleep\(\d|\bload_file\("
)


def verdicts(text: str, *, is_input: bool = True) -> list[bool]:
    prose = SqlProse(text, is_input=is_input)
    return [prose.is_talk(*match.span()) for match in SQL.finditer(text)]


def is_talk(text: str, *, is_input: bool = True) -> bool:
    """Returns whether all SQL in a text is talk."""
    found = verdicts(text, is_input=is_input)
    assert found
    return all(found)


QUESTIONS = (
    "What is UNION SELECT?",
    "Explain UNION SELECT",
    "How do I combine two tables with UNION ALL SELECT in Postgres?",
    "Write a query with UNION SELECT of two tables, and explain it.",
    "Is UNION ALL SELECT faster than UNION SELECT?",
    "Generate a cheat sheet with SELECT, INSERT, UNION SELECT and JOIN.",
    "I don't know what UNION SELECT does.",
    "- UNION SELECT removes duplicates\n- UNION ALL SELECT keeps them",
    "Erkläre mir UNION SELECT",
    "Quelle est la différence entre UNION SELECT et UNION ALL SELECT ?",
    "¿Cómo uso UNION SELECT con dos tablas?",
    "Jak działa UNION SELECT w SQL?",
    "Объясни, что делает UNION SELECT",
    "请解释 UNION SELECT 的用法",
    "UNION SELECT の使い方を教えてください",
    "What does 'UNION SELECT' do?",
    'What does "UNION SELECT" do?',
)

QUERIES = (
    "Explain this: SELECT a FROM t UNION SELECT b FROM u",
    "What does SELECT a FROM t UNION SELECT b FROM u do?",
    "SELECT a FROM t UNION SELECT b FROM u. What does this query do?",
    "You can use UNION ALL SELECT name FROM archive to append its rows.",
    "Please review this: INSERT INTO t SELECT a FROM x UNION SELECT b FROM y",
    "Here is the query:\n\nSELECT a FROM t WHERE x = 1\nUNION\nSELECT b FROM u;\n\nIt reads both.",
    "The query\n\n    SELECT a FROM t\n    UNION SELECT b FROM u\n\nremoves duplicates.",
    "Here it is:\n\n```sql\nSELECT a FROM t WHERE x = 1\nUNION SELECT b FROM u;\n```",
    "```sql\nSELECT a FROM t UNION SELECT b FROM u\n```",
    "```\nWITH x AS (SELECT 1) SELECT * FROM x UNION SELECT 2\n```",
    "In the docs: `SELECT id FROM a UNION ALL SELECT id FROM b` appends rows.",
    'What does "UNION SELECT a FROM b" do?',
    "The function `SELECT LOAD_FILE('/etc/passwd')` reads a file.",
)

INJECTIONS = (
    "Why is `' OR 1=1 --` dangerous?",
    "Explain why `' OR '1'='1` is an injection.",
    "What does `' UNION SELECT password FROM users --` do?",
    "Why did the firewall stop “id=1 UNION ALL SELECT password FROM users”?",
    'The firewall stopped "id=1 UNION ALL SELECT password FROM users", why?',
    "An attacker may enter `' OR 1=1 --` in the form; explain how to prevent it.",
    "Explain what happens when people run `1 UNION SELECT a FROM b`.",
    "A blind attack uses `1 AND SLEEP(5)` to measure the time.",
    "Here is one example:\n```\n1 UNION SELECT password FROM users\n```",
)


@pytest.mark.parametrize("text", [*QUESTIONS, *QUERIES, *INJECTIONS])
def test_prose_talks_about_sql(text: str) -> None:
    assert is_talk(text)


@pytest.mark.parametrize(
    "text",
    [
        "UNION SELECT",
        "1 UNION SELECT password FROM users",
        "-1 UNION SELECT 1,2,3",
        "UNION ALL SELECT password FROM users",
        "SELECT a FROM t UNION SELECT b FROM u",
        "query: SELECT 1 UNION SELECT password FROM users",
        "Hi! id=1 UNION ALL SELECT password FROM users",
        "please run id=1 UNION ALL SELECT password FROM users",
        "please execute this for me right now: 1 UNION SELECT password FROM users",
        "Could you tell me the price of item 1 UNION ALL SELECT password FROM users",
        "Please select an option: 1 UNION SELECT password FROM users",
        "tell me about it, id=x UNION SELECT password FROM users",
        "tell me about this thing: @@version UNION SELECT password FROM users",
        "tell me about this thing: null UNION SELECT password FROM users",
        "Explain the following to me 1\nUNION SELECT password FROM users",
        "1.UNION SELECT.2alias",
    ],
)
def test_a_payload_is_no_talk(text: str) -> None:
    assert not is_talk(text)


@pytest.mark.parametrize(
    "text",
    [
        "Please help me with the question about my order' UNION ALL SELECT password FROM users -- ",
        "Hello there my friend, ' UNION SELECT password FROM users WHERE '1'='1",
        "I would like to know about shoes') UNION SELECT password FROM users--",
        'This is my nice question" UNION SELECT password FROM users',
        "This is my nice question\N{FULLWIDTH APOSTROPHE} UNION SELECT password FROM users",
        "This is my question\\' and UNION SELECT password FROM users",
        "What does 'UNION SELECT a FROM b WHERE 1=' do for me?",
        "What does 'UNION SELECT a FROM b -- ' do for me?",
        "x''' or this is a question about UNION SELECT a FROM b",
    ],
)
def test_prose_in_a_string_that_the_text_ends_is_no_talk(text: str) -> None:
    assert not is_talk(text)


@pytest.mark.parametrize(
    "text",
    [
        "1 UNION SELECT password FROM users -- please explain what this query would do",
        "1 UNION SELECT 'please explain this to me', password FROM users",
        "SELECT 'please explain this to me' FROM t UNION SELECT password FROM users",
        "SELECT 1 /* please explain this to me */ UNION SELECT password FROM users",
        "# please explain this query\nUNION SELECT password FROM users",
    ],
)
def test_prose_in_strings_and_comments_does_not_count(text: str) -> None:
    assert not is_talk(text)


@pytest.mark.parametrize(
    "text",
    [
        "`1 UNION SELECT password FROM users`",
        "```\n1 UNION SELECT password FROM users\n```",
        "Hello `1 UNION SELECT password FROM users`",
        "please run `id=1 UNION ALL SELECT password FROM users` for me now",
        "Now enter `1 UNION SELECT password FROM users` into the field for the search.",
        "Just run this thing for me: `1 UNION SELECT password FROM users`",
        "Bitte führe das einmal aus: `1 UNION SELECT password FROM users`",
        "请执行这个查询语句 `1 UNION SELECT password FROM users`",
    ],
)
def test_a_payload_in_code_needs_prose_that_does_not_ask_to_run_it(text: str) -> None:
    assert not is_talk(text)


def test_an_answer_may_say_how_a_payload_is_run() -> None:
    text = "To test the form, enter `1 UNION SELECT password FROM users` as the number."
    assert is_talk(text, is_input=False)
    assert not is_talk(text)
    assert is_talk(f"{text} Why?")


def test_a_fenced_statement_without_prose_ends_no_string() -> None:
    assert is_talk("```\nSELECT a FROM t WHERE b = 'x' UNION SELECT c FROM u\n```")
    assert not is_talk("```\nSELECT x' UNION SELECT password FROM users -- \n```")


def test_an_answer_may_be_cut_off() -> None:
    for text in (
        "You can use this query:\n```sql\nSELECT a FROM t UNION SELECT",
        "You can try to write `1 UNION SELECT b",
    ):
        assert is_talk(text, is_input=False)


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("What does %55NION SELECT password FROM users do?", "%55NION SELECT"),
        ("What does UNION/**/SELECT do for me here?", "UNION/**/SELECT"),
        ("What does ＵＮＩＯＮ SELECT do for me here?", "ＵＮＩＯＮ SELECT"),  # noqa: RUF001
        ("What does \\u0055NION SELECT do for me here?", "\\u0055NION SELECT"),
        ("What does &#85;NION SELECT do for me here?", "&#85;NION SELECT"),
    ],
)
def test_disguised_sql_is_no_talk(text: str, sql: str) -> None:
    start = text.index(sql)
    assert not SqlProse(text, is_input=True).is_talk(start, start + len(sql))


def test_a_word_that_only_begins_like_sql_needs_one_word() -> None:
    assert is_talk("O' UNION selected a few friends")
    assert not is_talk("O' UNION selected")


class TestBounds:
    def test_words_count_up_to_a_distance(self) -> None:
        sql = "`1 UNION SELECT password FROM users`"
        assert is_talk("three words here" + " " * (WINDOW - 16) + sql)
        assert not is_talk("three words here" + " " * WINDOW + sql)

    def test_the_length_of_sql(self) -> None:
        text = "```\n" + "1" * (MAX_SQL + 1) + "\n```\nPlease explain this."
        prose = SqlProse(text, is_input=True)
        assert prose.is_talk(4, 4 + MAX_SQL)
        assert not prose.is_talk(4, 4 + MAX_SQL + 1)

    def test_the_number_of_spans(self) -> None:
        text = "What is UNION SELECT? " * (MAX_SPANS + 1)
        assert verdicts(text) == [True] * MAX_SPANS + [False]

    def test_the_number_of_quotes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sql_prose, "MAX_QUOTES", 3)
        assert is_talk("''" * 2 + "x'y Tell me more about UNION SELECT a FROM b")
        assert not is_talk("''" * 3 + "x'y Tell me more about UNION SELECT a FROM b")

    def test_the_number_of_selects(self, monkeypatch: pytest.MonkeyPatch) -> None:
        text = "tell me about: SELECT 1, SELECT 2, SELECT 3 UNION SELECT b FROM c"
        monkeypatch.setattr(sql_prose, "MAX_SELECTS", 3)
        assert is_talk(text)
        monkeypatch.setattr(sql_prose, "MAX_SELECTS", 2)
        assert not is_talk(text)
