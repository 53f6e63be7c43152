"""What the gate says to the workers in sandboxes, and how far it believes what they say.

    program = Program(cell)
    program.begin(source, soon)
    program.loaded(deadline)
    answer = program.call("median", [[1, 2]], {}, deadline)       # Returned | Raised

A program's worker may be anything by the time it answers. So an answer counts only if it carries the number of the call
it answers, which nobody knew before; it is decoded strictly; and whatever is not as agreed ends the trial as failed.
Nothing that crosses from there is ever a verdict. The worker of the tests runs what the data's author wrote and gets
plain copies of what the program returned: its verdict is believed.
"""

from __future__ import annotations

import builtins
import secrets
from dataclasses import dataclass
from typing import Any, Final, cast

from finetune_gate.evaluators.asking import Execution

from ..protocol import Cell, CellError
from .encoding import Unplain, decode, encode, pack, unpack

RELAYED: Final = frozenset(
    name for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception)
    and not issubclass(kind, (MemoryError, StopIteration, StopAsyncIteration))
)  # fmt: skip
"""The exceptions of a program that its tests get to see. Others end it as failed: SystemExit and its like, and those
that end a loop without a word, as in ``all(map(..., cases))``."""

OUT_OF_MEMORY_STATUS: Final = 252
"""The exit status with which a script's process says so."""
ARGUMENT_BYTES: Final = 4 << 20
"""The most that the arguments of one call may come to."""
PRINTED_BYTES: Final = 500_000
"""The most that a script may print. Twice that is a message's length."""
_DETAIL: Final = 500


class Over(Exception):
    """The trial has come to its end before all was tried."""

    def __init__(self, execution: Execution) -> None:
        super().__init__(execution.outcome)
        self.execution = execution


class Stopped(Exception):
    """Whoever wanted to know does not wait any more. Passes through all that is here."""


class SandboxFault(Exception):
    """The sandbox did not do its part: no measurement of any program. Worth another try."""


class Unusable(Exception):
    """The task itself cannot be tried, whatever the program."""


@dataclass(frozen=True, slots=True)
class Returned:
    """``value``, and the arguments as they are after the call (positional, by keyword), if the program changed them."""

    value: Any
    after: tuple[list[Any], dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception of the builtin type ``name``, or one derived from it."""

    name: str
    made_of: list[Any]
    said: str


@dataclass(frozen=True, slots=True)
class Printed:
    """What a script wrote, and its exit status: minus a signal's number where that ended it."""

    status: int
    output: bytes
    errors: bytes


def greeted(cell: Cell, deadline: float) -> None:
    """Wait until the worker is up. Raises SandboxFault."""
    _expected(cell, "hello", deadline)


class Program:
    """A program whose function can be called. Deadlines are of ``time.monotonic``; every method raises Over and
    SandboxFault."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._number = ""

    def begin(self, source: str, deadline: float) -> None:
        """Hand it over. Its time begins when this returns."""
        self._number = _new_number()
        _order(self._cell, ["load", self._number, source], deadline)

    def loaded(self, deadline: float) -> None:
        """Wait until its definitions were run."""
        answer = self._answer([], {}, deadline)
        if isinstance(answer, Raised):
            raise Over(Execution("failed", answer.said))

    def call(self, name: str, given: list[Any], keywords: dict[str, Any], deadline: float) -> Returned | Raised:
        """Raises Unplain too, where the arguments cannot cross."""
        self._number = _new_number()
        message = ["call", self._number, name, encode(given), encode(keywords)]
        if len(pack(message)) > ARGUMENT_BYTES:
            raise Unplain(f"more than {ARGUMENT_BYTES} bytes")
        _send(self._cell, message, deadline)
        return self._answer(given, keywords, deadline)

    def _answer(self, given: list[Any], keywords: dict[str, Any], deadline: float) -> Returned | Raised:
        kind, *rest = _answer_to(self._number, self._cell, deadline)
        try:
            if kind == "returned" and len(rest) == 2:
                return Returned(decode(rest[0]), _changed(decode(rest[1]), given, keywords))
            if kind == "raised" and len(rest) == 3:
                return _raised(rest[0], decode(rest[1]), rest[2])
        except Unplain as error:
            raise Over(Execution("failed", f"answered with {error}")) from error
        raise Over(Execution("failed", _shown(rest[0]) if kind == "unsent" and rest else "answered with no answer"))


class Scripts:
    """Programs that read and print, each run in a process of its own. Raises as `Program` does."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def begin(self, deadline: float) -> None:
        _order(self._cell, ["scripts"], deadline)

    def run(self, source: str, text: str, deadline: float) -> Printed:
        number = _new_number()
        _send(self._cell, ["script", number, source, text, PRINTED_BYTES], deadline)
        kind, *rest = _answer_to(number, self._cell, deadline)
        try:
            if kind == "printed" and len(rest) == 3:
                status, output, errors = (decode(one) for one in rest)
                if type(status) is int and type(output) is bytes and type(errors) is bytes:
                    return Printed(status, output, errors)
        except Unplain as error:
            raise Over(Execution("failed", f"answered with {error}")) from error
        raise Over(Execution("failed", "answered with no answer"))


class Suite:
    """Tests that are code, in a sandbox without the program they are about."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def begin(self, source: str, reference: str, entry_point: str, deadline: float) -> None:
        _order(self._cell, ["tests", source, reference, entry_point], deadline)

    def judge(self, program: Program, entry_point: str, deadline: float, *, copies: bool) -> bool:
        """Returns where the tests passed: whether the program changed arguments that they gave it. With ``copies`` the
        tests do not see that. Raises Over, Unusable and SandboxFault."""
        changed = False
        while True:
            try:
                match _received(self._cell, deadline):
                    case ["verdict", "passed", _]:
                        return changed
                    case ["verdict", "failed", said]:
                        raise Over(Execution("failed", _shown(said)))
                    case ["verdict", "unusable", said]:
                        raise Unusable(_shown(said))
                    case ["call", given, keywords]:
                        answer = program.call(entry_point, *_arguments(decode(given), decode(keywords)), deadline)
                    case _:
                        raise Unplain("a message that was not agreed")
            except Unplain as error:
                raise Unusable(f"the tests say what cannot be said to a program: {error}") from error
            if isinstance(answer, Raised):
                message = ["raised", answer.name, encode(answer.made_of), answer.said]
            else:
                changed = changed or answer.after is not None
                after = encode(list(answer.after)) if answer.after is not None and not copies else None
                message = ["returned", encode(answer.value), after]
            _send(self._cell, message, deadline)


def _arguments(given: Any, keywords: Any) -> tuple[list[Any], dict[str, Any]]:
    if type(given) is not list or type(keywords) is not dict:
        raise Unplain("arguments that are none")
    return cast("list[Any]", given), cast("dict[str, Any]", keywords)


def _changed(after: Any, given: list[Any], keywords: dict[str, Any]) -> tuple[list[Any], dict[str, Any]] | None:
    """The arguments after a call, where they are what arguments can become: as many, each still of its type."""
    if after is None:
        return None
    if type(after) is list and len(pair := cast("list[Any]", after)) == 2:
        again, by_keyword = pair
        if _types(again) == _types(given) and _types(by_keyword) == _types(keywords):
            return again, by_keyword
    raise Unplain("arguments that it was not given")


def _types(arguments: Any) -> Any:
    if type(arguments) is list:
        return [type(one) for one in cast("list[Any]", arguments)]
    if type(arguments) is dict:
        return [(name, type(one)) for name, one in cast("dict[Any, Any]", arguments).items()]
    return None


def _raised(name: Any, made_of: Any, said: Any) -> Raised:
    if name == "MemoryError":
        raise Over(Execution("out_of_memory", "it asked for more memory than it may use"))
    if type(name) is not str or name not in RELAYED or type(made_of) is not list:
        raise Over(Execution("failed", _shown(said)))
    return Raised(name, cast("list[Any]", made_of), _shown(said))


def _shown(text: Any) -> str:
    """For people: no longer than they read, and nothing that cannot be written as UTF-8."""
    return text[:_DETAIL].encode("utf-8", "replace").decode("utf-8") if type(text) is str else ""


def _new_number() -> str:
    return secrets.token_hex(8)


def _answer_to(number: str, cell: Cell, deadline: float) -> list[Any]:
    """The answer without its number."""
    try:
        message = _received(cell, deadline)
    except Unplain as error:
        raise Over(Execution("failed", f"answered with {error}")) from error
    if len(message) < 2 or type(message[1]) is not str or message[1] != number:
        raise Over(Execution("failed", "answered what was not asked"))
    return [message[0], *message[2:]]


def _received(cell: Cell, deadline: float) -> list[Any]:
    """Raises Unplain, Over and SandboxFault."""
    try:
        return unpack(cell.receive(deadline))
    except CellError as error:
        raise _end(cell, error) from error


def _send(cell: Cell, message: list[Any], deadline: float) -> None:
    try:
        cell.send(pack(message), deadline)
    except CellError as error:
        raise _end(cell, error) from error


def _end(cell: Cell, error: CellError) -> Exception:
    """What became of a trial that a worker did not go on with."""
    if error.kind == "deadline":
        return Over(Execution("timeout", "no answer within its time"))
    if error.kind == "too_long":
        return Over(Execution("failed", f"answered too much: {error}"))
    ending = cell.close()
    if ending == "sandbox_error":
        return SandboxFault(f"the sandbox failed: {error}")
    if ending == "out_of_memory":
        return Over(Execution("out_of_memory", "it used more memory than it may"))
    return Over(Execution("failed", "its process ended before it had answered"))


def _order(cell: Cell, order: list[Any], deadline: float) -> None:
    """Until it has begun nothing foreign has run in it: what goes wrong before is no doing of a program."""
    try:
        cell.send(pack(order), deadline)
    except CellError as error:
        raise SandboxFault(f"the sandbox's Python took no order: {error}") from error
    _expected(cell, "begun", deadline)


def _expected(cell: Cell, word: str, deadline: float) -> None:
    try:
        message = unpack(cell.receive(deadline))
    except (CellError, Unplain) as error:
        raise SandboxFault(f"the sandbox's Python did not say {word!r}: {error}") from error
    if message != [word]:
        raise SandboxFault(f"the sandbox's Python did not say {word!r}")
