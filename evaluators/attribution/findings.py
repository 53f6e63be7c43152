"""What an attribution has to show: heat maps, the terms, the training rows that answers are nearest to, and advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from ..absent import Unmeasured, Value
from ..asking import AttributeRequest, Attribution, Embedding, EmbedRequest
from ..evaluator import Answers, Components
from ..findings import Advice, Finding, HeatMap, HeatRow, Table
from ..texts.terms import TrainingTerm

SHOWN = 5
"""Examples in the heat map, each for candidate and base."""

LONGEST = 300
"""Tokens of one row of the heat map: of a longer prompt its end, where the answer begins."""

NEAREST = 3
"""Training rows named for each answer and model."""

INCOMPLETE = 0.05
"""The completeness error from which on more steps are advised."""

COMPARED = ("candidate", "base")


@dataclass(frozen=True, slots=True)
class Explained:
    """What was asked and scored: requests by example, components by role, and what embeddings stand for."""

    examples: Mapping[str, AttributeRequest]
    components: Mapping[str, Components]
    terms: Sequence[TrainingTerm]
    training_rows: Sequence[tuple[str, EmbedRequest]]
    answers: Sequence[tuple[str, EmbedRequest]]


def attribution_findings(explained: Explained, answers: Mapping[str, Answers]) -> list[Finding]:
    """In the order in which they are read. Nothing that failed is shown."""
    found: list[Finding | None] = [
        _heat_map(explained, answers),
        _terms(explained.terms),
        _nearest(explained, answers),
        *_advice(explained.components.get("candidate", {})),
    ]
    return [finding for finding in found if finding is not None]


def _heat_map(explained: Explained, answers: Mapping[str, Answers]) -> HeatMap | None:
    both: list[tuple[str, Mapping[str, Attribution]]] = []
    for name, request in explained.examples.items():
        given = {role: answers[role].get(request) for role in COMPARED if role in answers}
        read = {role: answer for role, answer in given.items() if isinstance(answer, Attribution)}
        if read:
            both.append((name, read))
    if not both:
        return None
    order = _by_change(explained)
    chosen = sorted(both, key=lambda pair: order.get(pair[0], 0.0))[:SHOWN]
    rows = [_heat_row(name, role, answer) for name, read in chosen for role, answer in read.items()]
    note = (
        "How much each prompt token adds to the log-probability of the reference answer; below 0 it speaks against it."
        " Each row is coloured relative to its own largest weight, which stands beside its name in nats, so colours of"
        " two rows are on one scale only through it."
    )
    if order:
        note += " Shown are the examples in which the share on fine-tuning terms changed the most."
    return HeatMap("What the answers rest on", note, tuple(rows), len(both) - len(chosen))


def _by_change(explained: Explained) -> dict[str, float]:
    """The lower the more the share on terms changed from base to candidate; empty where there are no terms."""
    candidate, base = (_term_shares(explained.components.get(role, {})) for role in COMPARED)
    return {
        name: -abs(ours - theirs)
        for name, ours, theirs in zip(explained.examples, candidate, base, strict=False)
        if ours is not None and theirs is not None
    }


def _term_shares(components: Components) -> list[float | None]:
    """By example; None where nothing speaks for the answer, or nothing is known."""
    pairs = zip(components.get("term_weight", ()), components.get("positive_weight", ()), strict=True)
    return [
        part / whole if isinstance(part, float) and isinstance(whole, float) and whole else None
        for part, whole in pairs
    ]


def _heat_row(name: str, role: str, answer: Attribution) -> HeatRow:
    largest = max(map(abs, answer.weights), default=0.0)
    label = f"{name}: {role} ({largest:.2g} nats)"
    cut = max(0, len(answer.tokens) - LONGEST)
    if cut:
        label += f", without its first {cut} tokens"
    return HeatRow(label, answer.tokens[cut:], answer.weights[cut:])


def _terms(terms: Sequence[TrainingTerm]) -> Table | None:
    if not terms:
        return None
    rows = [(term.text, term.train, term.others, round(term.z, 1)) for term in terms]
    note = "Words that more texts of the fine-tuning corpus hold than other texts do, the most typical first."
    return Table.of("Fine-tuning terms", note, ("term", "in train", "in others", "z"), rows)


def _nearest(explained: Explained, answers: Mapping[str, Answers]) -> Table | None:
    rows: list[tuple[str, str, str, str]] = []
    for name, request in explained.answers:
        near = [_nearest_rows(request, explained.training_rows, answers.get(role, {})) for role in COMPARED]
        if any(near):
            rows.append((name, explained.examples[name].continuation, near[0], near[1]))
    if not rows:
        return None
    note = (
        "Rows of the fine-tuning corpus whose vector is nearest to that of prompt and answer, by the model's own hidden"
        " states, with the cosine. Nearness is no proof that a row was learnt from."
    )
    columns = ("example", "answer", "nearest to the candidate", "nearest to the base")
    return Table.of("Training rows that answers are nearest to", note, columns, rows)


def _nearest_rows(request: EmbedRequest, rows: Sequence[tuple[str, EmbedRequest]], answers: Answers) -> str:
    own = answers.get(request)
    if not isinstance(own, Embedding):
        return ""
    cosines: list[tuple[float, str]] = []
    for name, asked in rows:
        other = answers.get(asked)
        if isinstance(other, Embedding) and len(other.vector) == len(own.vector):
            cosines.append((-fsum(left * right for left, right in zip(own.vector, other.vector, strict=True)), name))
    return ", ".join(f"{name} ({-cosine:.2f})" for cosine, name in sorted(cosines)[:NEAREST])


def _advice(components: Components) -> list[Finding]:
    from ..statistics import mean_t

    found: list[Finding] = []
    for component, what in (
        ("comprehensiveness_gain", "taking away the tokens of highest weight costs the candidate's answers"),
        ("sufficiency_gain", "keeping only the tokens of highest weight saves the candidate's answers"),
    ):
        gain = mean_t(_measured(components.get(component, ())))
        if not isinstance(gain, Unmeasured) and gain.interval.low <= 0.0:
            found.append(
                Advice(
                    f"It is not shown that {what} more than random tokens do: {gain.value:.3g} nats on average, at"
                    f" least {gain.interval.low:.3g}. Until it is, do not rule on where the weights lie: attribute more"
                    " examples, or use integrated_gradients."
                )
            )
    gap, moved = (fsum(_measured(components.get(name, ()))) for name in ("completeness_gap", "moved"))
    if moved > 0.0 and gap / moved > INCOMPLETE:
        found.append(
            Advice(f"The weights miss {gap / moved:.1%} of the change that they should sum to: raise `steps`.")
        )
    return found


def _measured(values: Sequence[Value]) -> list[float]:
    return [value for value in values if isinstance(value, float)]
