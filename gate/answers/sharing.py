"""Bring answers from a place that machines share, and take new ones there.

    sharing = Sharing(store, place, models, say)
    sharing.pull()      # what the place holds of these models and this machine lacks
    sharing.push()      # what this machine holds of them and the place lacks
    sharing.finish()    # push what is left, and put many small packs into few

A place that cannot be reached is said once, and is not fatal: what it would have spared is computed again. A pack that
does not check out is said and left alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from threading import Lock
from typing import Final

from finetune_gate.evaluators.errors import EvaluationError

from .packs import MAX_COMPRESSED, PACK_BYTES, BadPack, read_pack, write_packs
from .places import Pack, SharedAnswers
from .saying import Say, inert
from .store import AnswerStore, ModelKey

PUSH_EVERY_SECONDS: Final = 60.0
MAX_PACKS: Final = 10_000
"""Of one model, in one listing; more are not looked at."""

MANY_PACKS: Final = 24
"""Beyond this many small ones of a model, they are put together."""

SMALL_PACK: Final = PACK_BYTES // 16
"""Compressed; what is larger is never rewritten."""

_LISTINGS: Final = 3
_SAID_PACKS: Final = 3


class Sharing:
    """One run's dealings with a shared place. ``models`` are the run's; answers of others are left alone. No more than
    ``most_bytes`` are brought: what the store may hold."""

    def __init__(
        self, store: AnswerStore, place: SharedAnswers, models: Sequence[ModelKey], say: Say, most_bytes: int
    ) -> None:
        self._store = store
        self._place = place
        self._label = inert(place.label)
        self._bytes_left = most_bytes
        self._pushing = Lock()
        self._models = list({model.digest: model for model in models}.values())
        self._say = say
        self._reached = True
        self._pushed_to: dict[str, int] = {}
        self._next_push = time.monotonic() + PUSH_EVERY_SECONDS
        self._bad: set[str] = set()
        self.brought = 0
        self.shared = 0

    def pull(self) -> None:
        def work() -> None:
            for model in self._models:
                self._pull_model(model)

        self._reaching(work)
        if self.brought:
            self._say(f"{self.brought:,} answers brought from {self._label}")

    def push_now_and_then(self) -> None:
        """To be called after every put."""
        if self._reached and time.monotonic() >= self._next_push and self._pushing.acquire(blocking=False):
            try:
                self._reaching(self.push)
            finally:
                self._next_push = time.monotonic() + PUSH_EVERY_SECONDS
                self._pushing.release()

    def push(self) -> None:
        """Raises EvaluationError where the place cannot be reached."""
        for model in self._models:
            self._push_model(model)

    def finish(self) -> None:
        """Tries a place that could not be reached once more: it may be back, and this is the last chance."""
        said = not self._reached

        def work() -> None:
            try:
                self.push()
                for model in self._models:
                    self._compact(model)
            finally:
                self._place.close()

        self._reaching(work, silent=said)
        if self.shared:
            self._say(f"{self.shared:,} answers shared at {self._label}")

    def _reaching(self, work: Callable[[], None], *, silent: bool = False) -> None:
        try:
            work()
        except EvaluationError as error:
            self._reached = False
            if not silent:
                problem = error.problems[0]
                self._say(
                    f"answers are not shared: {inert(problem.where)}: {inert(problem.found)}; "
                    "what is missing here is computed, what is computed stays here until the next run"
                )

    def _pull_model(self, model: ModelKey) -> None:
        known = self._store.known_packs(model, self._place.number)
        for _ in range(_LISTINGS):
            packs = self._listed(model)
            if not packs:
                self._store.forget_place(model, self._place.number)
            vanished = False
            for pack in packs:
                if pack.name in known or pack.name in self._bad:
                    continue
                if self._bytes_left <= 0:
                    self._say(f"{self._label}: the rest is more than this machine's store may hold")
                    return
                answers = self._read(model, pack)
                vanished = vanished or answers is None
                if answers:
                    self._bytes_left -= sum(map(len, answers.values()))
                    self.brought += self._store.take(answers.items(), model, self._place.number, pack.name)
            if not vanished:
                return  # otherwise somebody has put packs together meanwhile: the answers are in another
            known = self._store.known_packs(model, self._place.number)

    def _listed(self, model: ModelKey) -> list[Pack]:
        packs = self._place.packs(model.digest)
        if len(packs) > MAX_PACKS:
            found = f"{len(packs):,} packs of {inert(model.label)}, of which {MAX_PACKS:,} are looked at"
            self._say(f"{self._label}: {found}")
        return packs[:MAX_PACKS]

    def _read(self, model: ModelKey, pack: Pack) -> Mapping[str, bytes] | None:
        """The answers of a pack, none where it is bad; None where it is no longer there."""
        try:
            if pack.size is not None and pack.size > MAX_COMPRESSED:
                raise BadPack(f"it is larger than {MAX_COMPRESSED >> 20} MiB")
            if pack.size == 0:  # some places refuse to read what is empty
                raise BadPack("it is empty")
            content = self._place.read(model.digest, pack, MAX_COMPRESSED)
            return None if content is None else read_pack(pack.name, content, model.digest)
        except BadPack as error:
            self._bad.add(pack.name)
            if len(self._bad) <= _SAID_PACKS:
                more = "; more like it are not mentioned" if len(self._bad) == _SAID_PACKS else ""
                self._say(f"{self._label}: pack {pack.name[:12]} of {inert(model.label)} ignored: {error}{more}")
            return {}

    def _push_model(self, model: ModelKey) -> None:
        batch: dict[str, bytes] = {}
        numbers: list[int] = []
        size = 0
        for entry in self._store.unshared(model, self._place.number, self._pushed_to.get(model.digest, 0)):
            batch[entry.address] = entry.content
            numbers.append(entry.number)
            size += len(entry.content)
            if size > PACK_BYTES // 2:
                self._send(model, batch, numbers)
                batch, numbers, size = {}, [], 0
        if numbers:
            self._send(model, batch, numbers)

    def _send(self, model: ModelKey, answers: Mapping[str, bytes], numbers: Sequence[int]) -> None:
        packs = dict(write_packs(model.digest, answers))
        self._place.write(model, packs)
        self._store.note_packs(packs, model, self._place.number)
        self._store.mark_shared(numbers, self._place.number)
        self._pushed_to[model.digest] = numbers[-1]
        self.shared += len(numbers)

    def _compact(self, model: ModelKey) -> None:
        """Write first, remove afterwards, and remove only what was written anew: whoever else does the same at the
        same time, and whoever is killed, leaves every answer there at least once."""
        small: list[tuple[str, list[Pack]]] = []
        packs = sorted(self._listed(model), key=lambda pack: (pack.group, pack.name))
        for group, members in groupby(packs, key=lambda pack: pack.group):
            whole = list(members)
            if all(pack.settled and pack.size is not None and pack.size <= SMALL_PACK for pack in whole):
                small.append((group, whole))
        if len(small) <= MANY_PACKS:
            return
        merged: dict[str, bytes] = {}
        replaced: list[Pack] = []
        size = 0
        for _, whole in small:
            found = [self._read(model, pack) for pack in whole]
            if not all(found):
                continue  # bad, or gone: not ours to tidy up
            for answers in found:
                merged.update(answers or {})
                size += sum(map(len, (answers or {}).values()))
            replaced += whole
            if size > PACK_BYTES:
                break
        new = dict(write_packs(model.digest, merged))
        self._place.write(model, new)
        self._store.note_packs(new, model, self._place.number)
        self._place.remove(model.digest, [pack for pack in replaced if pack.name not in new])
