"""Many calls at once: each answer tried until its deadline, all of them at the pace that the server bears."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from finetune_gate.evaluators.asking import Answer, Choice, Failed, Generation, TokenLogprobs

from ..budget import NOTHING, Account, Purse, Refusal, Reservation
from ..models.protocol import Usage
from .background import Connection, EndpointLimits
from .metering import come_to, most_of
from .pacing import Backoff
from .replies import Json, NoReply, usage_of
from .verdicts import TOO_MUCH, Again, Call, Judging, Reworded, Verdict

_SHARE_OF_DEADLINE = 0.5
"""An attempt may take half of the deadline, so that a call that hangs can be made once more."""

_SILENT_DEADLINES = 2

_ROOM_SECONDS = 0.01
"""Between two looks whether calls that have ended leave room in the budget."""


@dataclass(slots=True)
class Tally:
    """What a model has been asked since it was opened. Written in the loop's thread only. Tokens as the server counts
    them."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    retries: int = 0
    rate_limited: int = 0
    heard: bool = False
    """Whether anything has ever come back."""
    answered: bool = False
    """Whether there has ever been an answer."""
    told: tuple[int | None, int | None] = (None, None)
    """Tokens read and written, as the reply told that was read last."""

    def usage(self) -> Usage:
        return Usage(self.calls, self.prompt_tokens, self.completion_tokens, self.retries, self.rate_limited)

    def add(self, reply: Json) -> None:
        self.told = read, written = usage_of(reply)
        self.prompt_tokens += read or 0
        self.completion_tokens += written or 0


class _Silent(Exception):
    """Nothing usable has come for so long that the rest is not waited for."""


@dataclass(slots=True)
class Caller:
    """Asks one model, in its connection's loop: ``await caller.ask_all(calls, keep)``.

    Raises ModelError where no call can succeed: wrong key, no such model, no credit, nobody at the address from the
    start. Where no answer comes for twice ``call_seconds``, what is left is Failed with that reason, so that a server
    that has died costs minutes, not hours.

    Each attempt begins with room for it in ``account``; where there is none left, what has no answer yet is Failed with
    the account's reason. Room is given in the order of ``calls``.
    """

    connection: Connection
    limits: EndpointLimits
    judging: Judging
    tally: Tally
    backoff: Backoff = field(default_factory=Backoff)
    account: Account = field(default_factory=lambda: Purse().account(""))
    last_fault: Again | None = None
    """Why the last answer that was given up was."""
    _last_answer: float = 0.0

    async def ask_all(self, calls: Sequence[Call], keep: Callable[[int, Answer], Awaitable[None]]) -> None:
        """``await keep(index, answer)`` once for each call, in any order. A call has its place until its answer is
        kept: whatever kills the process, no more answers are lost than may be in flight, however slow the keeping."""
        turnstile = self.connection.turnstile
        missing = set(range(len(calls)))
        self._last_answer = time.monotonic()

        async def one(index: int, reserved: Reservation) -> None:
            await give(index, await self._answer(calls[index], reserved))

        async def give(index: int, answer: Answer) -> None:
            missing.discard(index)
            await keep(index, answer)

        def ended(reserved: Reservation, _: asyncio.Task[None]) -> None:
            self.account.settle(reserved, NOTHING)
            turnstile.end()

        try:
            async with asyncio.TaskGroup() as group:
                for index, call in enumerate(calls):
                    reserved = await self._let_in(call)
                    if isinstance(reserved, Refusal):
                        await give(index, Failed(reserved.reason))
                        continue
                    # by a callback, since a task that is cancelled before its first step runs no finally
                    group.create_task(one(index, reserved)).add_done_callback(partial(ended, reserved))
        except BaseExceptionGroup as several:
            first = several.exceptions[0]
            if not isinstance(first, _Silent):
                raise first from None
            for index in sorted(missing):
                await keep(index, Failed(str(first)))

    async def _let_in(self, call: Call) -> Reservation | Refusal:
        """A place at the turnstile, and room for a first attempt."""
        if (refusal := self.account.refused()) is not None:
            return refusal
        await self.connection.turnstile.begin()
        reserved = None
        try:
            reserved = await self._room(call.body())
            return reserved
        finally:
            if not isinstance(reserved, Reservation):
                self.connection.turnstile.end()

    async def _room(self, body: Mapping[str, object]) -> Reservation | Refusal:
        """Waits while calls under way may still leave some."""
        most = most_of(body)
        while (reserved := self.account.reserve(most)) is None:
            await asyncio.sleep(_ROOM_SECONDS)
        return reserved

    async def _answer(self, call: Call, reserved: Reservation | None) -> Answer:
        last = Again("it was never its turn")
        try:
            async with asyncio.timeout(self.limits.call_seconds) as deadline:
                tries = attempts = malformed = 0
                while True:
                    verdict = await self._attempt(call, deadline.when() or 0.0, reserved)
                    reserved = None
                    if isinstance(verdict, Reworded):
                        self.tally.retries += 1
                        continue
                    if not isinstance(verdict, Again):
                        self._heard_of(verdict)
                        return verdict
                    last = verdict
                    tries += 1
                    attempts += verdict.counts
                    malformed += verdict.malformed
                    if attempts >= self.backoff.attempts or malformed >= self.backoff.malformed:
                        return self._given_up(last, f"after {tries} attempts")
                    if verdict.after is None:
                        wait = self.backoff.seconds(tries, random.random())
                    else:  # "at once" is never at once
                        wait = max(verdict.after, self.backoff.seconds(1, random.random()))
                    if wait >= (deadline.when() or 0.0) - asyncio.get_running_loop().time():
                        return self._given_up(last, self._too_late)
                    await asyncio.sleep(wait)
                    self.tally.retries += 1
        except TimeoutError:
            return self._given_up(last, self._too_late)

    @property
    def _too_late(self) -> str:
        return f"within {self.limits.call_seconds:g} s"

    async def _attempt(self, call: Call, deadline: float, first: Reservation | None) -> Verdict:
        turnstile, tally = self.connection.turnstile, self.tally
        body = call.body()
        reserved = first or await self._room(body)
        if isinstance(reserved, Refusal):
            return Failed(reserved.reason)
        spent = NOTHING
        try:
            async with turnstile.attempt() as ticket:
                if (late := self.account.late()) is not None:
                    return Failed(late.reason)
                left = deadline - asyncio.get_running_loop().time()
                tally.calls += 1
                spent = come_to(reserved.most, None, (None, None))
                reply = await self.connection.client.post(
                    call.path, body, max(0.001, min(left, self.limits.call_seconds * _SHARE_OF_DEADLINE))
                )
                if not isinstance(reply, NoReply):
                    tally.heard = True
                    tally.rate_limited += reply.status == 429
                    if reply.status in TOO_MUCH:
                        turnstile.refused(ticket, min(reply.retry_after or 0.0, self.limits.call_seconds))
                    elif reply.status < 500:
                        turnstile.answered(ticket)
            tally.told = (None, None)
            try:
                return self.judging.verdict(call, body, reply, tally.answered)
            finally:
                spent = come_to(reserved.most, reply, tally.told)
        finally:
            self.account.settle(reserved, spent)

    def _heard_of(self, answer: Answer) -> None:
        self._last_answer = time.monotonic()
        if isinstance(answer, Generation | TokenLogprobs | Choice):
            self.tally.answered = True

    def _given_up(self, last: Again, when: str) -> Failed:
        self.last_fault = last
        if last.unreachable and not self.tally.heard:
            raise self.judging.unreachable(last.reason)
        silent = time.monotonic() - self._last_answer
        if silent >= _SILENT_DEADLINES * self.limits.call_seconds:
            raise _Silent(f"not waited for: the endpoint gave no answer for {silent:.0f} s; at last: {last.reason}")
        return Failed(f"no answer {when}; at last: {last.reason}")
