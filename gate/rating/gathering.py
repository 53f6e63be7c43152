"""What there is to rate: the models are resolved and asked as a run does it, for one evaluator alone."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem
from finetune_gate.evaluators.people.human import Human
from finetune_gate.evaluators.people.sheet import Pair, Sheet, make_sheet

from ..gate_file import Gate, load_gate_file
from ..gate_file.settings import Execution
from ..pins import Pins
from ..progress import Progress
from ..run import GateRequest, steps
from ..run.downloads import downloads_under
from ..run.shards import InProcess, Runner
from .ratings_file import RatingsFile

TITLE = "Which answer is better?"
"""What raters see above their sheet: the model's name could tell more than they should know."""


@dataclass(frozen=True, slots=True)
class ToRate:
    """Every pair of answers that ``human`` asks people about."""

    human: Human
    pairs: tuple[Pair, ...]

    def sheet(self, rater: str) -> Sheet:
        """Raises ConfigurationError for a name that no rater can have."""
        human = self.human
        return make_sheet(TITLE, self.pairs, rater, human.criteria, human.instructions, human.seed)


def human_of(gate: Gate, title: str | None) -> Human:
    """The evaluator called ``title``; without one, the only one of its kind. Raises ConfigurationError."""
    found = {one.title: one for one in gate.evaluators.values() if isinstance(one, Human)}
    if title is not None and title in found:
        return found[title]
    if title is None and len(found) == 1:
        return next(iter(found.values()))
    if not found:
        way_out = "- human: {data: holdout, prompt: ..., ratings: ratings}"
        raise ConfigurationError(Problem(f"{gate.path} evaluators", "nothing for people to rate", "a human", way_out))
    what = "several that people rate" if title is None else f"no human {title!r}"
    raise ConfigurationError(
        Problem(f"{gate.path} evaluators", what, f"one of {', '.join(found)}", f"--evaluator {next(iter(found))}")
    )


def ratings_file_of(gate: Gate, human: Human) -> RatingsFile:
    """Where ``human`` reads its ratings. Raises ConfigurationError where nothing can be added there, or where the gate
    file insists on ratings before there are any."""
    source = gate.file.data[human.ratings]
    file = RatingsFile(gate.folder / source.path)
    empty = not file.path.exists() or not file.path.stat().st_size
    if empty and not source.optional:
        expected = f"{human.ratings}: {{path: {source.path}, optional: true}}"
        way_out = "say that the file may be missing until somebody has rated"
        raise ConfigurationError(Problem(f"{gate.path} data.{human.ratings}", "no ratings yet", expected, way_out))
    return file


def gather(request: GateRequest, title: str | None, progress: Progress) -> ToRate:
    """Pin the models, ask them what is not in the answer store yet, and pair the answers. Changes nothing but the
    store. Raises ConfigurationError, and EvaluationError where there is nothing to compare with."""
    human = human_of(load_gate_file(request.gate_file), title)
    with downloads_under(request.home) as downloads:
        progress.say("resolve: pin candidate, base, champion, gate file and data")
        resolved = steps.resolve(request, downloads, datetime.now(UTC))
        if resolved.pins.champion is None and human.against == "champion":
            found = f"{human.title} compares with the champion: {resolved.pins.champion_note}"
            raise EvaluationError(Problem("champion", found, "a version that serves", "against: base"))
        pins = replace(resolved.pins, judges={})
        if human.against == "base":
            pins = replace(pins, champion=None)
        alone = replace(resolved, gate=replace(resolved.gate, evaluators={human.title: human}), pins=pins)
        plan = steps.plan(alone)
        progress.say("answer: ask every model what is not stored yet")
        answers = steps.answer(alone, plan, progress, _here)
        return ToRate(human, human.pairs(alone.data, {**answers.answered.answers}))


@contextmanager
def _here(pins: Pins, execution: Execution) -> Generator[Runner]:
    """Also where runs use a cluster: what is left to ask for one evaluator is little, and the answers are the same."""
    yield InProcess()
