"""What each prompt token adds to the log-probability of a continuation, and whether that is to be believed.

The log-probability of all of the continuation's tokens is one number, so one pass backward attributes it; a pass for
each token, summed afterwards, gives the same and takes as many times as long.

Attribution starts from an uninformative prompt: every token of the text replaced by EOS (else BOS, else the unknown
token, else an embedding of zeros), special tokens kept. ``integrated_gradients`` (Sundararajan et al. 2017, arXiv
1703.01365) integrates the gradient along the straight line from there to the real embeddings. A model that is sure of
its answer becomes so within a small part of that line, which evenly spread steps miss. So the log-probability is read
along the line first, without gradients, and the line is cut into pieces in which it changes by about as much, each with
a Gauss-Legendre rule of its own. ``input_x_gradient`` takes the gradient at the real embeddings alone, times what lies
between the two; of a model that is sure of its answer it is close to nothing.

Whether the weights mean anything is tried out (DeYoung et al. 2020, ERASER, arXiv 1911.03429): the fifth of the tokens
with the highest weights is replaced by the uninformative token (comprehensiveness: how much log-probability that
costs), and all others are (sufficiency); the same for as many tokens drawn at random. The draw depends on prompt and
continuation only, so it is the same for two models with one tokenizer.

Limits: gradients see one prompt's neighbourhood, and tokens that are redundant share their weight in ways nobody
defined. An uninformative prompt of one token repeated is itself unusual input.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, fsum, inf, isfinite
from random import Random

from finetune_gate.evaluators.asking import AttributeRequest, Attribution, Failed

from .batching import Ids, fit
from .differentiating import Differentiable, Point, Reading
from .foreign import Tokenizer
from .memory import in_batches
from .pieces import text_pieces
from .protocol import Deliver
from .tokenizing import Scored

ATTRIBUTIONS = 1
"""The version of what an attribution is, a part of its address."""

TOP = 0.2
"""The share of tokens whose effect is tried out."""

MAX_STEPS = 1024

PIECE = 4
"""Nodes in one piece of the line: the fewer, the better pieces follow a sudden change, and the worse a gentle one."""

KEPT = 4
"""A pass that is differentiated keeps what every layer computed: a quarter of the tokens go into its batches."""


@dataclass(frozen=True, slots=True)
class _Question:
    """What is attributed. ``free`` are the places of the prompt's tokens that are not special: the others stay as they
    are in every prompt, and weigh nothing."""

    request: AttributeRequest
    context: Ids
    targets: Ids
    free: tuple[int, ...]

    def point(self, share: float) -> Point:
        """The prompt that is everywhere as far from the uninformative one."""
        shares = [1.0] * len(self.context)
        for at in self.free:
            shares[at] = share
        return Point(self.context, self.targets, tuple(shares))

    def only(self, places: Sequence[int], there: bool = True) -> Point:
        """The prompt with its own tokens at ``places`` alone; with ``there`` False everywhere else."""
        chosen, free = set(places), set(self.free)
        shares = [1.0 if at not in free or (at in chosen) == there else 0.0 for at in range(len(self.context))]
        return Point(self.context, self.targets, tuple(shares))

    def line(self) -> list[Point]:
        """Places from the uninformative prompt to the real one, evenly spread."""
        steps = self.request.steps if self.request.method == "integrated_gradients" else 0
        return [self.point(at / steps) for at in range(steps + 1)] if steps else []

    def weights(self, slopes: Sequence[tuple[float, Reading]]) -> list[float]:
        """Slopes at each node, times its weight, added up."""
        free = set(self.free)
        return [
            fsum(weight * reading.slopes[at] for weight, reading in slopes) if at in free else 0.0
            for at in range(len(self.context))
        ]

    def trials(self, weights: Sequence[float]) -> Mapping[str, Point]:
        """What to read once the weights are known."""
        count = ceil(TOP * len(self.free))
        top = sorted(self.free, key=lambda at: (-weights[at], at))[:count]
        seed = hashlib.sha256(json.dumps([self.context, self.targets]).encode()).digest()
        drawn = Random(seed).sample(self.free, count)
        return {
            "all": self.point(1.0),
            "none": self.point(0.0),
            "without": self.only(top, there=False),
            "alone": self.only(top),
            "random without": self.only(drawn, there=False),
            "random alone": self.only(drawn),
        }


TRIALS = 6
"""How many prompts `_Question.trials` reads."""


def passes(request: AttributeRequest) -> int:
    """How many times the model reads the prompt for one attribution."""
    return TRIALS + (2 * request.steps + 1 if request.method == "integrated_gradients" else 1)


def attribute(
    network: Differentiable,
    tokenizer: Tokenizer,
    asked: Sequence[tuple[AttributeRequest, Scored | Failed]],
    limit: int,
    batch_tokens: int,
    deliver: Deliver,
) -> None:
    """Deliver an answer for each of ``asked``: a request and its tokens. ``limit`` is the model's context in tokens.

    A prompt is cut from the left until it fits together with the whole continuation, whose last token is read too, for
    its hidden state: one token more than scoring takes.
    """
    questions: dict[int, _Question] = {}
    special = frozenset(tokenizer.all_special_ids)
    for owner, (request, rendered) in enumerate(asked):
        question = _question(request, rendered, special, limit)
        if isinstance(question, Failed):
            deliver(owner, question)
        else:
            questions[owner] = question
    if not questions:
        return
    if not network.differentiates:
        for owner in questions:
            deliver(owner, Failed("the model's architecture cannot be asked with embeddings in place of tokens"))
        return
    ids = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.unk_token_id)
    start = next((token for token in ids if token is not None), None)

    def readings(points: Sequence[Point]) -> list[Reading]:
        return network.readings(points, start)

    def slopes(points: Sequence[Point]) -> list[Reading]:
        return network.slopes(points, start)

    lines = _read({owner: one.line() for owner, one in questions.items()}, readings, batch_tokens)
    chosen = {owner: nodes(one.request, lines[owner]) for owner, one in questions.items()}
    places = {owner: [one.point(share) for share, _ in chosen[owner]] for owner, one in questions.items()}
    grown = _read(places, slopes, max(1, batch_tokens // KEPT))
    weights = {
        owner: one.weights(
            [(weight, reading) for (_, weight), reading in zip(chosen[owner], grown[owner], strict=True)]
        )
        for owner, one in questions.items()
    }
    trials = {owner: one.trials(weights[owner]) for owner, one in questions.items()}
    tried = _read({owner: [*points.values()] for owner, points in trials.items()}, readings, batch_tokens)
    for owner, one in questions.items():
        found = dict(zip(trials[owner], tried[owner], strict=True))
        deliver(owner, _answer(text_pieces(tokenizer, one.context), weights[owner], found))


def nodes(request: AttributeRequest, line: Sequence[Reading]) -> list[tuple[float, float]]:
    """Where between the uninformative prompt (0) and the real one (1) to differentiate, with the weight of each place.

    ``line`` is what was read at evenly spread places. For integrated gradients the line is cut into pieces of PIECE
    nodes: half of the pieces by where the log-probability changes, half evenly. Each has the nodes of Gauss and
    Legendre, exact there for polynomials of degree 2 * PIECE - 1.
    """
    if request.method == "input_x_gradient":
        return [(1.0, 1.0)]
    import numpy as np

    changes = [abs(after.logprob - before.logprob) for before, after in pairwise(line)]
    total = fsum(changes)
    cells = len(changes)
    shares = [0.5 / cells + 0.5 * change / total if 0 < total < inf else 1 / cells for change in changes]
    pieces = max(1, request.steps // PIECE)
    ends = np.interp(
        np.linspace(0, 1, pieces + 1), np.minimum(1, np.cumsum([0, *shares])), np.linspace(0, 1, cells + 1)
    )
    found: list[tuple[float, float]] = []
    for number, (begin, end) in enumerate(pairwise(map(float, [0, *ends[1:-1], 1]))):
        count = request.steps // pieces + (number < request.steps % pieces)
        rule = zip(*np.polynomial.legendre.leggauss(count), strict=True)
        found += [(begin + (end - begin) * float(at + 1) / 2, (end - begin) * float(weight) / 2) for at, weight in rule]
    return found


def _question(
    request: AttributeRequest, rendered: Scored | Failed, special: frozenset[int], limit: int
) -> _Question | Failed:
    if isinstance(rendered, Failed):
        return rendered
    if not 1 <= request.steps <= MAX_STEPS:
        return Failed(f"{request.steps} steps; attribution takes 1 to {MAX_STEPS}")
    if rendered.document or not rendered.targets:
        return Failed("there is no prompt" if rendered.targets else "there is no continuation")
    # the last target is read as well, so it takes a place that scoring does not need
    fitted = fit(rendered.context, rendered.targets, limit - 1)
    if fitted is None:
        return Failed(f"the continuation has {len(rendered.targets)} tokens, and the context is {limit}")
    context = fitted[0].context
    free = tuple(at for at, token in enumerate(context) if token not in special)
    if not free:
        return Failed("the prompt has none but special tokens")
    return _Question(request, context, rendered.targets, free)


def _read(
    points: Mapping[int, Sequence[Point]], read: Callable[[Sequence[Point]], list[Reading]], budget: int
) -> dict[int, list[Reading]]:
    """What ``read`` says of all points, by owner and in order, in batches of ``budget`` tokens."""
    found: dict[tuple[int, int], Reading] = {}

    def work(some: Sequence[tuple[int, int, Point]]) -> None:
        for (owner, number, _), reading in zip(some, read([point for _, _, point in some]), strict=True):
            found[owner, number] = reading

    items = [(owner, number, point) for owner, some in points.items() for number, point in enumerate(some)]
    in_batches(items, lambda item: item[2].length, budget, work)
    return {owner: [found[owner, number] for number in range(len(some))] for owner, some in points.items()}


def _answer(tokens: tuple[str, ...], weights: Sequence[float], tried: Mapping[str, Reading]) -> Attribution | Failed:
    found = {name: reading.logprob for name, reading in tried.items()}
    similarity = tried["all"].similarity
    if not all(map(isfinite, (*weights, *similarity, *found.values()))):
        return Failed("the model gave a number that is not finite")
    return Attribution(
        tokens=tokens,
        weights=tuple(weights),
        similarity=similarity,
        logprob=found["all"],
        uninformed=found["none"],
        comprehensiveness=found["all"] - found["without"],
        sufficiency=found["all"] - found["alone"],
        random_comprehensiveness=found["all"] - found["random without"],
        random_sufficiency=found["all"] - found["random alone"],
    )
