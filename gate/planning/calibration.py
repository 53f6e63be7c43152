"""How long it will take: a small sample of what is left, answered by the engine that a run uses, and scaled up.

    speed = measure_speed(model, work, batch_tokens=1024, seed=0)
    sum(speed.of(piece.size) for piece in work.pieces) + speed.loading

What is sampled: prompts with all that is asked about them, spread evenly over lengths; a twenty-fifth of all, or what
takes no time to speak of, and never more than takes some seconds, unless one prompt alone does. Each probe is repeated
and the faster time kept. The first question of all is for warming up, and what it takes longer is the time of loading.
Of texts only the first few tokens are written. Two sizes of sample give what a batch costs at all and what each token
adds.

Answers are not kept in the answer store: a run computes and keeps whole shards, so that it ends with the same bits
whether or not anything was computed before; those of a sample were computed in other company.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from finetune_gate.evaluators.asking import ChooseRequest, Failed, GenerateRequest, Request, ScoreRequest

from ..models.protocol import Model
from ..run.shards import SHARD_SIZES, ask
from .planned import Line, Speed, Unknown
from .work import Work

SHARE = 1 / 25
"""Largest sample, as a share of all; with its repetition, and the smaller ones before it, about a tenth."""

LONG_ENOUGH = 0.5
"""Seconds of one probe after which no larger one is tried."""

NO_TIME = 0.02
"""Seconds of one probe up to which a larger one is tried, whatever its share of all: that costs nobody anything."""

FEW_TOKENS = 5
"""Tokens that calibration lets a text have."""

TEXT_BATCHES = 4
"""Texts are written in batches with so many times as many tokens as those of log-likelihoods."""


@dataclass(frozen=True, slots=True)
class _Probe:
    """``seconds`` for ``size`` (tokens read, or rows written) in ``batches``."""

    batches: int
    size: int
    seconds: float


def measure_speed(
    model: Model, work: Work, batch_tokens: int, seed: int, clock: Callable[[], float] = time.perf_counter
) -> Speed | Unknown:
    """The model's speed on what is left to ask; loads it. Unknown where it answers nothing of the sample. Raises
    ModelError where it does not load."""
    calibration = _Calibration(model, random.Random(seed), clock)
    loading = 0.0
    lines: dict[str, Line] = {}
    for kind in ("scores", "texts"):
        units = _units([request for piece in work.pieces if piece.size.kind == kind for request in piece.left])
        if not units:
            continue
        shortest = [_shortened(request, 1) for request in units[-1]]
        first = calibration.once(shortest)
        if first is None:
            return Unknown(unknown=f"a sample could not be answered: {calibration.reason}")
        loading += max(0.0, first - (calibration.once(shortest) or 0.0))
        if kind == "scores":
            lines["scoring"] = calibration.scoring(units, batch_tokens)
        else:
            lines |= calibration.writing(units, TEXT_BATCHES * batch_tokens)
    return Speed(loading=loading, scores_batch=batch_tokens, texts_batch=TEXT_BATCHES * batch_tokens, **lines)


@dataclass(slots=True)
class _Calibration:
    model: Model
    random: random.Random
    clock: Callable[[], float]
    reason: str = ""

    def once(self, requests: Sequence[Request]) -> float | None:
        """Seconds; None where no request could be answered."""
        begun = self.clock()
        answers = ask(self.model, requests, lambda request, answer: None)
        seconds = self.clock() - begun
        failed = [answer for answer in answers.values() if isinstance(answer, Failed)]
        if len(failed) < len(answers):
            return seconds
        self.reason = failed[0].reason if failed else "there is nothing to ask"
        return None

    def twice(self, requests: Sequence[Request]) -> float:
        """The faster of two times, or the one that took long enough."""
        first = self.once(requests) or 0.0
        return first if first >= LONG_ENOUGH else min(first, self.once(requests) or first)

    def scoring(self, units: Sequence[Sequence[Request]], batch_tokens: int) -> Line:
        """By tokens read, whatever the number of batches."""

        def probe(sample: Sequence[Request]) -> _Probe:
            read = self.model.tokens(sample).read
            return _Probe(-(-read // batch_tokens), read, self.twice(sample))

        return _line(self._growing(units, len(units), probe))

    def writing(self, units: Sequence[Sequence[Request]], batch_tokens: int) -> dict[str, Line]:
        """``reading`` by tokens of prompts, ``step`` by rows: the same sample with one token each, and with a few."""
        longest = max(self._cost(unit) for unit in units)
        fits = min(SHARD_SIZES[GenerateRequest], max(1, batch_tokens // max(1, longest)))
        steps: list[_Probe] = []

        def probe(sample: Sequence[Request]) -> _Probe:
            seconds = self.twice([_shortened(request, 1) for request in sample])
            few = [_shortened(request, FEW_TOKENS) for request in sample]
            more = max(request.max_new_tokens for request in few if isinstance(request, GenerateRequest)) - 1
            if more:
                steps.append(_Probe(1, len(sample), max(0.0, self.twice(few) - seconds) / more))
            return _Probe(1, self.model.tokens(sample).read, seconds)

        reading = _line(self._growing(units, fits, probe))
        if len({step.size for step in steps}) > 1:
            return {"reading": reading, "step": _line(steps)}
        # one row alone cannot tell what further rows add: a token costs about as much to write as to read
        alone = steps[0].seconds if steps else reading.fixed + reading.each
        return {"reading": reading, "step": Line(fixed=max(0.0, alone - reading.each), each=reading.each)}

    def _cost(self, unit: Sequence[Request]) -> int:
        tokens = self.model.tokens(unit)
        return tokens.read + tokens.written

    def _growing(
        self, units: Sequence[Sequence[Request]], most: int, probe: Callable[[Sequence[Request]], _Probe]
    ) -> list[_Probe]:
        """Probes of more and more units, at most ``most``."""
        most = min(most, len(units))
        probes: list[_Probe] = []
        size = 1
        while True:
            sample = [request for unit in _spread(units, size, self.random) for request in unit]
            probes.append(probe(sample))
            largest = most if probes[-1].seconds < NO_TIME else min(most, int(SHARE * len(units)))
            if size >= largest or probes[-1].seconds >= LONG_ENOUGH:
                return probes
            # what a batch costs at all makes this a cautious forecast of what takes long enough
            size = min(largest, max(2 * size, int(size * LONG_ENOUGH / max(probes[-1].seconds, NO_TIME))))


def _units(requests: Sequence[Request]) -> list[list[Request]]:
    """What is asked about one prompt is one unit, because the engine reads it once; in the order of shards, longest
    first. A document, and each text to be written, is a unit of its own."""
    units: dict[Hashable, list[Request]] = {}
    for request in requests:
        together: Hashable = request
        if isinstance(request, ScoreRequest | ChooseRequest) and request.prompt:
            together = (type(request), request.prompt)
        units.setdefault(together, []).append(request)
    return list(units.values())


def _spread(units: Sequence[Sequence[Request]], count: int, chance: random.Random) -> list[Sequence[Request]]:
    """One at random from each of ``count`` equal stretches of ``units``."""
    edges = [len(units) * at // count for at in range(count + 1)]
    return [units[chance.randrange(start, end)] for start, end in pairwise(edges)]


def _shortened(request: Request, most: int) -> Request:
    if isinstance(request, GenerateRequest):
        return replace(request, max_new_tokens=min(most, request.max_new_tokens))
    return request


def _line(probes: Sequence[_Probe]) -> Line:
    """Through the smallest and the largest probe; neither part below zero, whatever the noise."""
    small, large = min(probes, key=lambda probe: probe.size), max(probes, key=lambda probe: probe.size)
    spread = large.size * small.batches - small.size * large.batches
    each = (large.seconds * small.batches - small.seconds * large.batches) / spread if spread else 0.0
    fixed = (large.seconds - each * large.size) / large.batches if large.batches else 0.0
    if not spread or fixed < 0:
        return Line(fixed=0.0, each=large.seconds / max(1, large.size))
    return Line(fixed=large.seconds / large.batches, each=0.0) if each < 0 else Line(fixed=fixed, each=each)
