"""Checks the prose of the project: `make prose`, a part of `make lint`.

Fails if a banned phrase occurs in a docstring, a comment, a string with a sentence, a contract or a
page. Prints how often "if", "when" and "where" occur in 1,000 words, beside what plain technical
English has: "if" 4.5 to 7.4 times, "where" 0.3 to 0.6 times.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = Path(__file__).resolve().parent.parent

BANNED: Final = {
    r"where (there|it|one|none|nobody|nothing|that|they|this|he|she|we|each|any|all|some|both)\b": (
        'write "if" or "when"'
    ),
    r"where (no|not|neither)\b": 'write "if … not" or "if no …"',
    r"\b(nobody|whoever|whatever it is|none of which|thereof|whereof|hitherto|lest|for ever)\b": (
        "write a plain sentence with a noun for its subject"
    ),
    r"\b(is|are|was|were|be) told\b": "say what is passed to whom",
    r"\bof one mind\b": 'write "consistent" or "in step"',
    r"\b(led over|akin|courier|patience)\b": "use the field's term",
    r"\bseed 00\d\b": "readers do not have these documents",
    r"\bcomes? to (its|their) end\b": 'write "ends" or "finishes"',
}
"""Phrases that must not occur, each with what to do about it."""

WORDS: Final = ("if", "when", "where")

_SENTENCE: Final = re.compile(r"[A-Za-z]+ [a-z]+ [a-z]+")
_WORD: Final = re.compile(r"[A-Za-z']+")
_C_LIKE: Final = frozenset({".ts", ".tsx", ".mjs", ".go", ".java"})
"""Files of languages that write comments and strings as C does."""

_C_PROSE: Final = re.compile(
    r"""
    (?P<comment>/\*.*?\*/|//[^\n]*(?:\n\s*//[^\n]*)*)
    |(?P<text>"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`)
    |(?<==)>|>(?P<content>[^<>{}()=;]+)[<{]
    """,
    re.DOTALL | re.VERBOSE,
)
"""Comments, strings, and the text between the tags of JSX."""

_FENCE: Final = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


_GENERATED: Final = re.compile(
    r"_gen/|^LICENSE|^clients/(go|typescript/src)/gen/|^console/src/api/(contract|operations)\.ts$"
)
"""Files that are not the project's own words."""


class Passage(NamedTuple):
    """A piece of prose.

    Attributes:
        line: the line of the file that it begins on, from 1.
        text: the prose.
    """

    line: int
    text: str


def files() -> list[Path]:
    """Returns the files with prose that the repository holds, without generated ones."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - on the PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    own = (ROOT / name for name in listed if not _GENERATED.search(name))
    kinds = {".py", ".md", ".proto", *_C_LIKE}
    return [
        path for path in own if path.suffix in kinds and path.exists() and path != Path(__file__)
    ]


def passages(path: Path) -> Iterator[Passage]:
    """Yields the prose of a file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        blanked = _FENCE.sub(lambda match: "\n" * match.group().count("\n"), text)
        yield Passage(1, blanked)
    elif path.suffix == ".proto":
        for number, line in enumerate(text.splitlines(), 1):
            _, slashes, comment = line.partition("//")
            if slashes:
                yield Passage(number, comment)
    elif path.suffix in _C_LIKE:
        yield from _c_like(text)
    else:
        yield from _python(text)


def _c_like(text: str) -> Iterator[Passage]:
    for match in _C_PROSE.finditer(text):
        prose = match["comment"] or match["text"] or match["content"] or ""
        if match["comment"] or _SENTENCE.search(prose):
            yield Passage(text.count("\n", 0, match.start()) + 1, prose)


def _python(text: str) -> Iterator[Passage]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield Passage(token.start[0], token.string)
    for node in ast.walk(ast.parse(text)):
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, str) and _SENTENCE.search(value):
            yield Passage(node.lineno, value)  # type: ignore[attr-defined] # a constant has a line


def offences(path: Path) -> Iterator[str]:
    """Yields a line for each banned phrase in a file."""
    for passage in passages(path):
        # A phrase may be broken over two lines.
        flat = re.sub(
            r"\s+(?:#|//|\*(?!/))?\s*",
            lambda gap: " " if "\n" not in gap.group() else "\n",
            passage.text,
        )
        for phrase, advice in BANNED.items():
            for match in re.finditer(phrase.replace(" ", r"\s"), flat, re.IGNORECASE):
                line = passage.line + flat.count("\n", 0, match.start())
                phrase_ = " ".join(match.group().split())
                yield f'{path.relative_to(ROOT)}:{line}: "{phrase_}": {advice}'


def ratios(paths: Iterable[Path]) -> str:
    """Returns how often each of `WORDS` occurs in 1,000 words of the files."""
    counts: Counter[str] = Counter()
    for path in paths:
        for passage in passages(path):
            counts.update(word.lower() for word in _WORD.findall(passage.text))
    total = counts.total() or 1
    rates = (f"{word} {1000 * counts[word] / total:.1f}" for word in WORDS)
    return f"{', '.join(rates)} in 1,000 of {total} words"


def main(arguments: list[str] | None = None) -> int:
    """Checks the files, prints what was found, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.prose", description=__doc__)
    parser.add_argument("paths", nargs="*", help="files or folders; the whole project if none")
    options = parser.parse_args(arguments)
    roots = [(ROOT / each).resolve() for each in options.paths] or [ROOT]
    chosen = [path for path in files() if any(path.is_relative_to(root) for root in roots)]
    problems = [each for path in chosen for each in offences(path)]
    print("\n".join(problems)) if problems else None
    for suffixes, name in (
        ({".py"}, "code"),
        (_C_LIKE, "console and clients"),
        ({".proto"}, "contracts"),
        ({".md"}, "pages"),
    ):
        of_kind = [path for path in chosen if path.suffix in suffixes]
        if of_kind:
            print(f"{name}: {ratios(of_kind)}")
    if problems:
        print(f"{len(problems)} banned phrases; tools/prose.py has the list", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
