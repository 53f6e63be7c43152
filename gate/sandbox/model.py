"""A sandbox as the gate asks models: programs in, what became of them out.

    model = SandboxModel(Sandbox("auto", None, "1", "3.11"))
    model.execute([ExecuteRequest(program, task)], deliver)

What keeps the programs in is chosen at the first of them, and has then just shown that it does. Where nothing can, not
one is run: every request is ``Failed`` with the ways to get a sandbox, and no setting or variable changes that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from finetune_gate.evaluators.asking import (
    Ability,
    ExecuteRequest,
    Failed,
    GenerateRequest,
    Request,
    ScoreRequest,
)

from ..models.protocol import Deliver, JsonScalar, Tokens, Usage
from ..pins import Sandbox
from .choosing import Unavailable, choose

if TYPE_CHECKING:
    from ..budget import Purse
    from .protocol import Backend
    from .trials.running import Trials

_AT_ONCE: Final = 64
"""Programs that are begun together where the time of asking judges is limited: it is looked at between them."""


def find_backend(source: Sandbox) -> Backend | Unavailable:
    """What ``source`` asks for, as far as this machine has it."""
    return choose(source.backend, source.image)


class SandboxModel:
    """A judge with the ability ``executes``, and no other. ``purse``: whose limit of time holds here too. ``find`` is
    how it comes to a backend."""

    def __init__(
        self,
        source: Sandbox,
        *,
        purse: Purse | None = None,
        find: Callable[[Sandbox], Backend | Unavailable] = find_backend,
    ) -> None:
        self._source = source
        self._purse = purse
        self._find = find
        self._trials: Trials | Unavailable | None = None

    @property
    def digest(self) -> str:
        return self._source.digest

    @property
    def abilities(self) -> frozenset[Ability]:
        return frozenset({"executes"})

    @property
    def batched(self) -> bool:
        """Each outcome stands for itself, and is kept as it comes."""
        return False

    def facts(self) -> Mapping[str, JsonScalar]:
        """Known before anything is run, so that a run that finds every outcome in the store says the same."""
        return {
            "kind": "sandbox",
            "backend": self._source.backend,
            "image": self._source.image,
            "engine": self._source.engine,
            "python": self._source.python,
        }

    def usage(self) -> Usage:
        return Usage()

    def tokens(self, requests: Sequence[Request]) -> Tokens:
        return Tokens(0, 0)

    def addresses(self, requests: Sequence[Request]) -> list[str]:
        found: list[str] = []
        for request in requests:
            about = asdict(request) if isinstance(request, ExecuteRequest) else repr(request)
            text = json.dumps(["execute", self.digest, about], sort_keys=True)
            found.append(hashlib.sha256(text.encode()).hexdigest())
        return found

    def score(self, requests: Sequence[ScoreRequest], deliver: Deliver) -> None:
        _refuse(requests, deliver)

    def generate(self, requests: Sequence[GenerateRequest], deliver: Deliver) -> None:
        _refuse(requests, deliver)

    def execute(self, requests: Sequence[ExecuteRequest], deliver: Deliver) -> None:
        trials = self._trials = self._trials or self._begin()
        if isinstance(trials, Unavailable):
            _fail(trials.reason, range(len(requests)), deliver)
            return
        timed = self._purse is not None and self._purse.timed
        size = _AT_ONCE if timed else max(1, len(requests))
        for start in range(0, len(requests), size):
            late = self._purse.late() if self._purse is not None else None
            if late is not None:
                _fail(late.reason, range(start, len(requests)), deliver)
                return
            trials.execute_all(requests[start : start + size], lambda at, one, start=start: deliver(start + at, one))

    def release(self) -> None:
        """Nothing is held between questions."""

    def _begin(self) -> Trials | Unavailable:
        from .trials.running import Trials

        found = self._find(self._source)
        return found if isinstance(found, Unavailable) else Trials(found)


def _fail(reason: str, which: Iterable[int], deliver: Deliver) -> None:
    for index in which:
        deliver(index, Failed(reason))


def _refuse(requests: Sequence[Request], deliver: Deliver) -> None:
    for index, request in enumerate(requests):
        deliver(index, Failed(f"a sandbox does not have the ability {request.needs!r}"))
