"""Whose turn a message of a conversation is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def last_answer(messages: Any, is_answer: Callable[[dict[str, Any]], bool]) -> int:
    """Returns the index of the last answer that the caller has replied to; -1 if there is none.

    An answer at the end of a request is written by the caller too: the model goes on with it.

    Args:
        messages: the messages; no list counts as none.
        is_answer: whether a message is an answer of the model.
    """
    are_answers = [
        isinstance(each, dict) and is_answer(each)
        for each in (messages if isinstance(messages, list) else ())
    ]
    while are_answers and are_answers[-1]:
        are_answers.pop()
    return max((index for index, each in enumerate(are_answers) if each), default=-1)
