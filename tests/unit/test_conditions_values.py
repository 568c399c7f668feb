"""Comparisons: tables of conditions that are true, false and unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.condition_tables import F, T, U, of, table

if TYPE_CHECKING:
    from pdp.engine.conditions import Truth


@table(
    ("batch_size > 100 AND target.sensitivity_level >= 3", T),
    ("hour(timestamp) < 6 OR hour(timestamp) > 22", T),
)
def test_the_conditions_of_the_api_examples_have_the_listed_results(
    source: str, expected: Truth
) -> None:
    assert of(source) is expected


@table(
    ("batch_size = 200", T),
    ("batch_size == 200.0", T),
    ("batch_size != 200", F),
    ("batch_size < 200", F),
    ("batch_size <= 200", T),
    ("batch_size >= 2e2", T),
    ("100 < batch_size", T),
    ("whole = 7.0", T),
    ("huge > 1e308", T),
    ("huge = huge", T),
    ("name = 'Ada'", T),
    ("name = 'ada'", F),
    ("name < 'B'", T),
    ("'Z' < 'a'", T),
    ("name = empty", F),
    ("flag = true", T),
    ("flag != off", T),
    ("batch_size = '200'", U),
    ("flag = 1", U),
    ("name = true", U),
    ("flag > off", U),
    ("nan = nan", U),
    ("nan != 1", U),
    ("nan < 1", U),
    ("infinite > 1", U),
    ("tags = tags", U),
    ("object = object", U),
    ("nothing = nothing", U),
    ("missing = 1", U),
    ("missing != 1", U),
    ("null = null", U),
    ("1 = 1", T),
    ("(1 < 2) = (2 < 3)", T),
    ("(batch_size > 100) = flag", T),
    ("(missing > 100) = flag", U),
)
def test_comparisons_have_the_listed_results(source: str, expected: Truth) -> None:
    assert of(source) is expected


@table(
    ("batch_size BETWEEN 200 AND 300", T),
    ("batch_size between 100 and 200", T),
    ("batch_size BETWEEN 201 AND 300", F),
    ("batch_size NOT BETWEEN 201 AND 300", T),
    ("batch_size BETWEEN 300 AND 100", F),
    ("batch_size BETWEEN missing AND 100", F),
    ("batch_size BETWEEN missing AND 300", U),
    ("batch_size BETWEEN 100 AND 'x'", U),
    ("name BETWEEN 'A' AND 'B'", T),
    ("missing BETWEEN 1 AND 2", U),
    ("batch_size BETWEEN 1 AND 2 OR batch_size BETWEEN 199 AND 201 AND flag", T),
    ("whole + 1 BETWEEN 8 AND 8", T),
    ("off AND whole + 1 BETWEEN 8 AND 8 OR whole + 1 = 8", T),
    ("timestamp BETWEEN '2026-02-26' AND '2026-02-27'", T),
    ("'2026-02-26' BETWEEN timestamp AND timestamp", F),
    ("(timestamp > day) BETWEEN true AND true", U),
)
def test_conditions_with_between_have_the_listed_results(source: str, expected: Truth) -> None:
    assert of(source) is expected


@table(
    ("tool IN ('read_file', 'search_code')", T),
    ("tool IN ['read_file', 'search_code']", T),
    ("tool IN ('search_code')", F),
    ("tool NOT IN ('search_code')", T),
    ("tool NOT IN ('read_file')", F),
    ("batch_size IN (1, 200)", T),
    ("batch_size IN (1, '200')", U),
    ("batch_size IN (1, 200, '200')", T),
    ("batch_size IN (1, null)", U),
    ("flag IN (1, 2)", U),
    ("flag IN (true)", T),
    ("flag IN (1, true)", T),
    ("1 IN (true)", U),
    ("nan IN (1, 2)", U),
    ("missing IN (1, 2)", U),
    ("missing IN []", F),
    ("missing IN none", F),
    ("batch_size NOT IN []", T),
    ("'PII' IN target.classifications", T),
    ("'pii' IN target.classifications", F),
    ("'PII' IN (target.classifications)", T),
    ("'ssn' IN (target.classifications, target.fields)", T),
    ("'ssn' IN (tool, ['ssn'])", T),
    ("'a' IN mixed", T),
    ("'z' IN mixed", U),
    ("'z' NOT IN mixed", U),
    ("'z' IN tags", F),
    ("'a' IN missing", U),
    ("'Ada' IN name", T),
    ("tags IN (1)", U),
    ("batch_size IN (100 + 100, 3)", T),
    ("timestamp IN ('2026-02-26')", U),
    ("tool IN ('a', timestamp)", U),
)
def test_conditions_with_in_have_the_listed_results(source: str, expected: Truth) -> None:
    assert of(source) is expected


@table(
    ("tool LIKE 'read_file'", T),
    ("tool LIKE 'read%'", T),
    ("tool LIKE '%file'", T),
    ("tool LIKE '%d_f%'", T),
    ("tool LIKE '%'", T),
    ("tool LIKE '%%'", T),
    ("tool LIKE 'READ%'", F),
    ("tool LIKE 'read'", F),
    ("tool LIKE '_________'", T),
    ("tool LIKE '________'", F),
    ("tool LIKE 'r%e%_e'", T),
    ("tool NOT LIKE 'write%'", T),
    ("empty LIKE ''", T),
    ("empty LIKE '%'", T),
    ("empty LIKE '_'", F),
    ("lines LIKE 'one%two'", T),
    ("lines LIKE 'one_two'", T),
    (r"path LIKE '%100\%\_done'", T),
    (r"path LIKE '%100\\%\\_done'", T),
    (r"path LIKE 'C:\\\\%'", T),
    (r"path LIKE '%\%%'", T),
    (r"tool LIKE '%\%%'", F),
    (r"tool LIKE '%\%_'", F),
    (r"path LIKE 'C:\100%'", T),
    ("'a.c' LIKE 'a.%c'", T),
    ("'abc' LIKE 'a.%c'", F),
    ("'a(b' LIKE '_(_'", T),
    (r"'ends\\' LIKE '%_\\'", T),
    ("batch_size LIKE '2%'", U),
    ("missing LIKE '%'", U),
    ("missing NOT LIKE '%'", U),
)
def test_conditions_with_like_have_the_listed_results(source: str, expected: Truth) -> None:
    assert of(source) is expected


@table(
    (r"arguments.sql MATCHES '(?i)drop\s+table'", T),
    (r"arguments.sql MATCHES '(?i)drop\\s+table'", T),
    ("arguments.sql MATCHES '^TABLE'", F),
    ("arguments.sql NOT MATCHES '^TABLE'", T),
    ("'straße' MATCHES '^.{6}$'", T),
    ("batch_size MATCHES '2'", U),
    ("missing NOT MATCHES 'x'", U),
    (r"tool MATCHES '\bfile'", F),
    (r"'a file' MATCHES '\bfile\b'", T),
)
def test_conditions_with_matches_have_the_listed_results(source: str, expected: Truth) -> None:
    assert of(source) is expected
