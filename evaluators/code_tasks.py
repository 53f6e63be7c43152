"""Programming tasks as they are published, told apart by their columns.

    task = task_of(row)      # Task, or the faults of the row

| layout | columns | source |
|---|---|---|
| HumanEval | ``prompt``, ``entry_point``, ``test``, ``canonical_solution`` | arXiv 2107.03374 |
| MBPP | ``text``, ``test_list``, ``code``, ``test_setup_code`` | arXiv 2108.07732 |
| MBPP, sanitized | ``prompt``, ``test_list``, ``code``, ``test_imports`` | |
| calls | ``entry_point``, ``calls``: ``[{"arguments": [2, 3], "result": 5}]`` | |
| dialogues | ``dialogues``: ``[{"input": "2 3", "output": "5"}]`` | |

Any of them may have a ``reference``, a whole program that does the task. Tests are data here: nothing of a row is run.
"""

from __future__ import annotations

import ast
import builtins
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

from .asking import CodeTask
from .datasets import Row

Layout = Literal["humaneval", "mbpp", "calls", "dialogues"]
Fault = tuple[str, str]
"""What was found in a row, and what was expected."""

_TOLD_BY: Final[Mapping[str, Layout]] = {
    "test": "humaneval",
    "test_list": "mbpp",
    "calls": "calls",
    "dialogues": "dialogues",
}
AFTER_A_FUNCTION: Final = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""Where a completed function ends, in the paper on HumanEval: what follows is no part of it."""
AFTER_A_PROGRAM: Final = ("[DONE]", "\nassert", '\n"""', "\nprint", "\nif")
"""Where an answer to the prompt of MBPP ends: [DONE] is the paper's, the others begin tests and demonstrations."""
_MBPP_PROMPT: Final = (
    "You are an expert Python programmer, and here is your task: {task} "
    "Your code should pass these tests:\n\n{tests}\n[BEGIN]\n"
)


@dataclass(frozen=True, slots=True)
class Task:
    """``prompt`` is how the layout asks for it, None where its columns do not say. ``beginning`` is what a completion
    goes on from, empty where an answer is the whole program; ``stops`` end a completion."""

    layout: Layout
    code: CodeTask
    prompt: str | None
    beginning: str
    stops: tuple[str, ...]


class _Reading:
    """A row that is read; what is wrong with it gathers in ``faults``."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.faults: list[Fault] = []

    def fault(self, found: str, expected: str) -> None:
        self.faults.append((found[:200], expected))

    def text(self, column: str, *, required: bool = False) -> str:
        """The text in a column, empty where there is none."""
        value = self.row.get(column)
        if isinstance(value, str) and (value.strip() or not required):
            return value
        if value is not None or required:
            self.fault(f"{column}={value!r}", "a text" if value is not None else f"a text in column {column!r}")
        return ""

    def items(self, column: str) -> list[object]:
        value = self.row.get(column)
        if isinstance(value, list) and value:
            return value
        self.fault(f"{column}={value!r}", "a list with at least one entry")
        return []

    def texts(self, column: str) -> list[str]:
        some = self.items(column) if self.row.get(column) else []
        wrong = [one for one in some if not isinstance(one, str)]
        if wrong:
            self.fault(f"{column} holds {wrong[0]!r}", "texts alone")
        return [one for one in some if isinstance(one, str)]

    def name(self, otherwise: str = "") -> str:
        """The function that is asked for."""
        found = self.text("entry_point", required=not otherwise) or otherwise
        if found and not found.isidentifier():
            self.fault(f"entry_point={found!r}", "the name of a function")
        return found


def task_of(row: Row) -> Task | list[Fault]:
    """The task in ``row``, or everything that is wrong with it."""
    told = [column for column in _TOLD_BY if row.get(column) is not None]
    if len(told) != 1:
        found = f"columns {' and '.join(told)}" if told else f"columns {', '.join(row)}"
        return [(found[:200], f"exactly one of {', '.join(_TOLD_BY)}: they say how a program is tested")]
    reading = _Reading(row)
    task = _READ[_TOLD_BY[told[0]]](reading)
    return reading.faults or task


def definition_in(text: str, name: str) -> int | None:
    """Where the line begins that defines ``name`` at the left margin; None where none does."""
    found = re.search(rf"^(?:async def|def|class)[ \t]+{re.escape(name)}\b", text, re.MULTILINE) if name else None
    return found.start() if found else None


def _humaneval(reading: _Reading) -> Task:
    prompt, solution = reading.text("prompt"), reading.text("canonical_solution")
    name = reading.name()
    beginning = _beginning(prompt, name)
    reference = reading.text("reference") or (solution and beginning + solution)
    code = CodeTask(entry_point=name, test=reading.text("test", required=True), reference=reference)
    return Task("humaneval", code, prompt or None, beginning, AFTER_A_FUNCTION if beginning else ())


def _mbpp(reading: _Reading) -> Task:
    asked = reading.text("text") or reading.text("prompt")
    before = [*reading.texts("test_imports"), reading.text("test_setup_code")]
    tests = reading.texts("test_list")
    if not tests and not reading.faults:
        reading.items("test_list")
    solution = reading.text("code")
    reference = reading.text("reference") or (solution and _lines([*before[:-1], solution]))
    name = reading.name(otherwise=_tested_name(tests, reference))
    code = CodeTask(entry_point=name, test=_lines([*before, *tests]), reference=reference)
    prompt = _MBPP_PROMPT.replace("{tests}", "\n".join(tests)).replace("{task}", asked.strip()) if asked else None
    return Task("mbpp", code, prompt, "", AFTER_A_PROGRAM)


def _calls(reading: _Reading) -> Task:
    name, prompt = reading.name(), reading.text("prompt")
    calls: list[tuple[str, str]] = []
    for at, one in enumerate(reading.items("calls"), 1):
        fields = cast("dict[str, object]", one) if isinstance(one, dict) else {}
        arguments = fields.get("arguments")
        texts = [_json(fields[key]) for key in ("arguments", "result") if key in fields]
        if len(texts) != len(fields) or len(texts) != 2 or not isinstance(arguments, list | dict) or "" in texts:
            expected = '{"arguments": [2, 3], "result": 5}, or "arguments": {"a": 2, "b": 3} by name; finite numbers'
            reading.fault(f"call {at} is {one!r}", expected)
        else:
            calls.append((texts[0], texts[1]))
    code = CodeTask(entry_point=name, calls=tuple(calls), reference=reading.text("reference"))
    beginning = _beginning(prompt, name)
    return Task("calls", code, prompt or None, beginning, AFTER_A_FUNCTION if beginning else ())


def _dialogues(reading: _Reading) -> Task:
    dialogues: list[tuple[str, str]] = []
    for at, one in enumerate(reading.items("dialogues"), 1):
        fields = cast("dict[str, object]", one) if isinstance(one, dict) else {}
        read, printed = fields.get("input"), fields.get("output")
        if set(fields) != {"input", "output"} or not isinstance(read, str) or not isinstance(printed, str):
            reading.fault(f"dialogue {at} is {one!r}", '{"input": "2 3\\n", "output": "5\\n"}')
        else:
            dialogues.append((read, printed))
    code = CodeTask(dialogues=tuple(dialogues), reference=reading.text("reference"))
    return Task("dialogues", code, reading.text("prompt") or None, "", ())


_READ: Final[Mapping[Layout, Callable[[_Reading], Task]]] = {
    "humaneval": _humaneval,
    "mbpp": _mbpp,
    "calls": _calls,
    "dialogues": _dialogues,
}


def _beginning(prompt: str, name: str) -> str:
    """A prompt that is the function's own beginning; empty where it only speaks of it."""
    return prompt if definition_in(prompt, name) is not None else ""


def _tested_name(tests: list[str], reference: str) -> str:
    """MBPP does not say which function is asked for: it is the one that most tests call, of those that the reference
    defines where there is one. Of equals the first."""
    called = Counter(name for test in tests for name in dict.fromkeys(_called_in(test)))
    defined = [name for name in called if definition_in(reference, name) is not None]
    return max(defined or list(called), key=lambda name: called[name], default="")


def _called_in(test: str) -> Iterator[str]:
    try:
        tree = ast.parse(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not hasattr(builtins, node.func.id):
            yield node.func.id


def _lines(parts: list[str]) -> str:
    return "\n".join(part for part in parts if part.strip())


def _json(value: object) -> str:
    """Empty for what JSON has no word for, such as an infinite number."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return ""
