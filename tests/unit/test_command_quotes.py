"""Quoted words of command lines: commit messages and patterns of grep, and nothing else."""

from __future__ import annotations

import pytest

from pdp.engine.text.command_quotes import MAX_TEXT, MAX_WORDS, quoted_texts

COMMAND = "rm -rf /"


def quotes_of(line: str) -> list[str]:
    return [line[start:end] for start, end in quoted_texts(line)]


@pytest.mark.parametrize(
    "line",
    [
        'git commit -m "Explain rm -rf /"',
        "git commit -m 'Explain rm -rf /'",
        'git commit -m"rm -rf /"',
        'git commit -am "rm -rf /"',
        'git commit --message="rm -rf /" --no-verify',
        'git commit --message "rm -rf /"',
        'git commit --amend -m "rm -rf /"',
        'git commit -m "Title" -m "rm -rf /"',
        'git commit -m "Title\n\nNever run rm -rf /\n"',
        'git commit -m "say \\"rm -rf /\\" never"',
        'git commit -m "Merge; rm -rf / is bad"',
        'git -C repo commit -m "rm -rf /"',
        'git add -A && git commit -m "rm -rf /" && git push -u origin main',
        'grep -rn "rm -rf /" docs',
        "grep -E 'rm -rf /|mkfs' notes.md | head -20",
        'grep -rn -e "rm -rf /" .',
        'cd repo && grep -rn --include=*.md "rm -rf /" .',
        'grep "rm -rf /" x 2>/dev/null || true',
        'grep -c "rm -rf /" a > /dev/null 2>&1',
        'history | grep "rm -rf /" | wc -l',
        'rg -n "rm -rf /" src',
        '# where is it?\ngrep -rn "rm -rf /" .',
    ],
)
def test_messages_and_patterns_are_quoted_texts(line: str) -> None:
    assert any(COMMAND in each for each in quotes_of(line))


@pytest.mark.parametrize(
    "line",
    [
        COMMAND,
        'git commit -m "x" && rm -rf /',
        'git commit -m "x"; sudo rm -rf /',
        'git commit -m "x" & rm -rf /',
        'git commit -m "x\nrm -rf /',
        'git commit -m "x" "rm -rf /"',
        'git commit -m "x""rm -rf /"',
        "git commit -m rm -rf /",
        'git commit -m "$(rm -rf /)"',
        'git commit -m "`rm -rf /`"',
        "git commit -m '$(rm -rf /)'",
        "git commit -F- <<EOF\nrm -rf /\nEOF",
        'git commit --exec="rm -rf /"',
        'git commit -m "x" -c "rm -rf /"',
        'git -c core.editor=sh commit -e -m "rm -rf /"',
        'git config alias.x "!rm -rf /"',
        'git push --exec "rm -rf /"',
        'git() { eval "$3"; }; git commit -m "rm -rf /"',
        'alias git=eval; git commit -m "rm -rf /"',
        'PATH=/evil:$PATH git commit -m "rm -rf /"',
        '"git" commit -m "rm -rf /"',
        'bash -c "rm -rf /"',
        'eval "rm -rf /"',
        'echo "rm -rf /"',
        "grep x $(rm -rf /)",
        'grep "rm -rf /" f | sh',
        'grep "rm -rf /" f | xargs -I{} sh -c {}',
        'grep -h "rm -rf /" f > /etc/cron.daily/x',
        'grep "x" -- "rm -rf /"',
        'sudo grep "rm -rf /" x',
        'rg --pre "rm -rf /" x',
        'rg --pre="rm -rf /" x',
        'cat x | sort --compress-program="rm -rf /"',
        'git log --format="rm -rf /"',
    ],
)
def test_everything_else_is_a_command(line: str) -> None:
    assert not any(COMMAND in each for each in quotes_of(line))


@pytest.mark.parametrize("separator", ["&", "|", "\n"])
def test_a_command_of_windows_after_a_separator_is_a_command(separator: str) -> None:
    """cmd.exe knows no single quotes, so that the command would run."""
    assert quotes_of(f"git commit -m 'x {separator} rd /s /q C:'") == []
    assert quotes_of(f"git commit -m 'x {separator} road'") != []


def test_the_length_of_a_line_is_bounded() -> None:
    line = 'git commit -m "x" '
    assert quotes_of(line + "a" * (MAX_TEXT - len(line))) == ["x"]
    assert quotes_of(line + "a" * (MAX_TEXT + 1 - len(line))) == []


def test_the_number_of_words_is_bounded() -> None:
    # The four words of the command, and the end of the line.
    assert quotes_of('git commit -m "x"' + " a" * (MAX_WORDS - 5)) == ["x"]
    assert quotes_of('git commit -m "x"' + " a" * (MAX_WORDS - 4)) == []
