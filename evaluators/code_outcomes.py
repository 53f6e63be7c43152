"""What became of programs, for people: by problem and program, of every model. Details are model output.

shown_problem("17", "Add two numbers.", "def add(a, b): ...", {"candidate": [(answer, Execution("passed"))]})
outcome_table([("17", {"candidate": [(answer, Execution("passed"))]})])
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from .asking import Answer, Execution, Failed
from .findings import Table
from .showing import Said, Shown
from .shown_answers import said, said_in_turn

Tried = Sequence[tuple[Answer, Answer]]
"""What a model answered, and what became of it."""

_SAID: Final = {"passed": "passed", "failed": "failed", "timeout": "timed out", "out_of_memory": "ran out of memory"}
_DETAIL: Final = 300
"""Characters of a program's own words."""


def shown_problem(id: str, asked: str, wanted: str, tried: Mapping[str, Tried]) -> Shown:
    return Shown(id, asked, wanted, {role: _said_of(some) for role, some in tried.items()})


def outcome_table(problems: Sequence[tuple[str, Mapping[str, Tried]]]) -> Table:
    """A row a problem, those first that the candidate passes least often."""
    roles = list(dict.fromkeys(role for _, tried in problems for role in tried))
    rows = sorted(problems, key=lambda problem: _passed(problem[1].get("candidate", ())))
    return Table.of(
        "What became of the programs",
        "Of all programs of a model for one problem; in brackets, what the first that did not pass came to.",
        ("problem", *roles),
        [(id, *(_counted(tried.get(role, ())) for role in roles)) for id, tried in rows],
    )


def _said_of(tried: Tried) -> Said:
    if len(tried) == 1:
        answer, outcome = tried[0]
        one = said(answer)
        return one if one.fault else Said(one.text, detail=_outcome(outcome))
    return said_in_turn((f"program {at}: {_outcome(outcome)}", answer) for at, (answer, outcome) in enumerate(tried, 1))


def _outcome(outcome: Answer) -> str:
    match outcome:
        case Execution(kind, detail):
            return _SAID[kind] + (f": {_short(detail)}" if detail else "")
        case Failed(reason):
            return f"not judged: {_short(reason)}"
        case _:
            return "not judged"


def _counted(tried: Tried) -> str:
    """``7 of 10 passed, 2 timed out, 1 failed (call 1 is wrong)``"""
    kinds = Counter(_SAID[one.outcome] if isinstance(one, Execution) else "not judged" for _, one in tried)
    counts = [f"{kinds.pop('passed', 0)} of {len(tried)} passed"] + [f"{n} {kind}" for kind, n in kinds.most_common()]
    first = next((one for _, one in tried if not isinstance(one, Execution) or one.outcome != "passed"), None)
    detail = first.detail if isinstance(first, Execution) else first.reason if isinstance(first, Failed) else ""
    return ", ".join(counts) + (f" ({_short(detail)})" if detail else "")


def _passed(tried: Tried) -> int:
    return sum(isinstance(one, Execution) and one.outcome == "passed" for _, one in tried)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _DETAIL else line[: _DETAIL - 1] + "\u2026"
