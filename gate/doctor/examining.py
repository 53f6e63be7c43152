"""Look at many things at once, each within its deadline.

findings = examine([Check("python", lambda: [python_version()]), ...])
status = within(5.0, lambda: ask_a_server())      # TimeoutError after 5 s, whatever the server does
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from finetune_gate.evaluators.errors import FinetuneGateError, without_credentials

from .finding import Finding, faults_of, warning

T = TypeVar("T")

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Check:
    """``look`` gives what it finds, and sees to it itself that it ends. ``name`` is what is looked at."""

    name: str
    look: Callable[[], Iterable[Finding]]


def examine(checks: Sequence[Check]) -> list[Finding]:
    """What all checks find, in the order of the checks. A check that breaks says so and spoils no other."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [finding for findings in pool.map(_looked, checks) for finding in findings]


def within(seconds: float, work: Callable[[], T]) -> T:
    """What ``work`` returns or raises. Raises TimeoutError once it has taken ``seconds``; it is then left to itself in
    a daemon thread, since nothing can end a library's call from outside.
    """
    done: Future[T] = Future()

    def worked() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
            done.set_exception(error)

    threading.Thread(target=worked, daemon=True).start()
    return done.result(seconds)


def _looked(check: Check) -> list[Finding]:
    try:
        return list(check.look())
    except FinetuneGateError as error:
        return faults_of(check.name, error)
    except Exception as error:  # noqa: BLE001 - the border between one check and the others
        said = f"{type(error).__name__}: {without_credentials(str(error))}"
        return [warning(check.name, f"this check itself failed: {said}", "a fault of finetune-gate: please report it")]
