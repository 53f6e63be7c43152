"""From a model's answer to a program, by rules that look at the text alone.

1. ``fenced``: the first code block that is marked ``python`` (``py``, ``python3``), else the first without a mark; one
   that never ends goes to the end of the answer. An answer without a block has no program: the empty one, which fails.
2. ``completion``: the answer as it stands, up to the first of the layout's stops.
3. ``auto``: ``fenced`` where there is such a block, else ``completion``.

Where the task gives the function's beginning, an answer goes on from it. One that begins at the left margin and defines
the function itself stands in place of that definition; what is above it (imports, other functions) is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from .code_tasks import Task, definition_in

Extract = Literal["auto", "completion", "fenced"]
_FENCE: Final = "```"
_PYTHON: Final = ("python", "py", "python3")


def program_of(text: str, task: Task, extract: Extract = "auto") -> str:
    """The program that the answer ``text`` is, whole."""
    block = None if extract == "completion" else fenced_block(text)
    if block is None and extract == "fenced":
        return ""
    found = text if block is None else block
    name = task.code.entry_point
    if task.beginning and _is_whole(found, name):
        return task.beginning[: definition_in(task.beginning, name)] + found
    return task.beginning + (_cut(found, task.stops) if block is None else found)


def fenced_block(text: str) -> str | None:
    """The first block of Python between fences, None where there is none."""
    blocks = list(_blocks(text))
    marked = [block for mark, block in blocks if mark in _PYTHON]
    plain = [block for mark, block in blocks if not mark]
    return next(iter(marked + plain), None)


def _blocks(text: str) -> Iterable[tuple[str, str]]:
    mark: str | None = None
    lines: list[str] = []
    for line in text.split("\n"):
        fence = line.strip().startswith(_FENCE)
        if mark is None and fence:
            mark, lines = line.strip().lstrip("`").strip().lower(), []
        elif mark is not None and fence:
            yield mark, "\n".join([*lines, ""])
            mark = None
        else:
            lines.append(line)
    if mark is not None:
        yield mark, "\n".join(lines)


def _is_whole(text: str, name: str) -> bool:
    """Whether ``text`` defines the function itself. One that begins with an indented line goes on from a beginning,
    whatever comes after."""
    first = next((line for line in text.split("\n") if line.strip()), " ")
    return not first[0].isspace() and definition_in(text, name) is not None


def _cut(text: str, stops: Iterable[str]) -> str:
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(ends, default=len(text))]
