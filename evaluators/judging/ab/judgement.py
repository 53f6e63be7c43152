"""Everything that the judges said of one run, brought into the order of its examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...absent import Unmeasured, Value
from ...evaluator import Answers
from ..by_judge import Controls, Key, worst
from ..controls import Control, ControlKind
from ..judged_texts import Comparison
from ..tasks import Task, Text
from .judges import Verdict
from .settings import Panelist

Told = Verdict | Unmeasured

TOLERANCE = 0.25
"""How far from one half a preference by log-probabilities between equal texts may lie. A judge without a verdict of tie
leans to one slot nearly always, which both orders even out; one that leans further hardly sees anything else."""

_HALF = 0.5 - 1e-9
_TIE = Verdict(0.5, 0.0, 0.5, 0.0)


@dataclass(frozen=True, slots=True)
class Judgement:
    """``texts`` by role and ``verdicts`` by judge and baseline are in the order of ``tasks``; ``passed``, what each
    judge made of each kind of control, is in the order of ``controls``."""

    panel: tuple[Panelist, ...]
    tasks: tuple[Task, ...]
    texts: Mapping[str, Sequence[Text]]
    baselines: tuple[str, ...]
    controls: Controls
    verdicts: Mapping[Key, Sequence[Told]]
    passed: Mapping[Key, Sequence[Value]]

    @property
    def counting(self) -> tuple[Panelist, ...]:
        return tuple(one for one in self.panel if one.counts)

    def alike(self, baseline: str, at: int) -> bool:
        """Whether both gave the same text, so that nobody is asked."""
        ours, theirs = self.texts["candidate"][at], self.texts[baseline][at]
        return isinstance(ours, str) and ours == theirs

    def length_difference(self, baseline: str, at: int) -> Value:
        """Characters of the candidate's answer, less those of the baseline's."""
        ours, theirs = self.texts["candidate"][at], self.texts[baseline][at]
        if isinstance(ours, Unmeasured):
            return ours
        return theirs if isinstance(theirs, Unmeasured) else float(len(ours) - len(theirs))

    def judged(self, judge: str, baseline: str) -> list[Verdict]:
        """What one judge said of pairs that it was asked about."""
        told = self.verdicts[Key(judge, baseline)]
        return [one for at, one in enumerate(told) if isinstance(one, Verdict) and not self.alike(baseline, at)]

    def of_panel(self, baseline: str, at: int, without: str | None = None) -> Told:
        """Mean over the judges that count, but for ``without``. Unmeasured where one of them is."""
        told: list[Verdict] = []
        for one in self.counting:
            if one.address == without:
                continue
            verdict = self.verdicts[Key(one.address, baseline)][at]
            if isinstance(verdict, Unmeasured):
                return verdict
            told.append(verdict)
        return Verdict(
            sum(one.win for one in told) / len(told),
            sum(one.flipped for one in told) / len(told),
            sum(one.first_slot for one in told) / len(told),
            sum(one.preferred for one in told) / len(told),
        )

    def self_preference(self, baseline: str, at: int) -> Value:
        """By how much judges of the candidate's or of the baseline's family score their own kin higher than judges of
        neither family do; from -1 to 1. Similarities to a reference have no family, and no say."""
        kin, others = families(self.panel, baseline)
        if not kin or not others:
            return Unmeasured(f"no judges of the family of one side, or none of neither, in candidate and {baseline}")
        wins: dict[str, float] = {}
        for one in (*kin, *others):
            verdict = self.verdicts[Key(one.address, baseline)][at]
            if isinstance(verdict, Unmeasured):
                return verdict
            wins[one.address] = verdict.win
        outside = sum(wins[one.address] for one in others) / len(others)
        favours = [(wins[one.address] - outside) * (1 if "candidate" in one.related else -1) for one in kin]
        return sum(favours) / len(favours)

    def worst(self, kind: ControlKind) -> Sequence[Value]:
        """What the judge made of this kind of control, of those that count, that did worst on it."""
        return worst(self.passed[Key(one.address, kind)] for one in self.counting)


def families(panel: Sequence[Panelist], baseline: str) -> tuple[list[Panelist], list[Panelist]]:
    """Language models of the family of candidate or baseline, not of both; and those of neither."""
    asked = [one for one in panel if one.judge.calls]
    sides = [one.related & {"candidate", baseline} for one in asked]
    kin = [one for one, near in zip(asked, sides, strict=True) if len(near) == 1]
    return kin, [one for one, near in zip(asked, sides, strict=True) if not near]


def comparison_of(task: Task, ours: str, theirs: str) -> Comparison:
    """The candidate's answer is the first one."""
    return Comparison(task.question, ours, theirs, task.references)


def compared(tasks: Sequence[Task], texts: Mapping[str, Sequence[Text]], baseline: str) -> Iterator[Told | Comparison]:
    """For each task what there is to ask; or what needs no asking, since equal answers tie and failed ones are no
    answers."""
    for task, ours, theirs in zip(tasks, texts["candidate"], texts[baseline], strict=True):
        if isinstance(ours, Unmeasured):
            yield ours
        elif isinstance(theirs, Unmeasured):
            yield theirs
        else:
            yield _TIE if ours == theirs else comparison_of(task, ours, theirs)


def told_by(panelist: Panelist, asked: Told | Comparison, replies: Answers) -> Told:
    if not isinstance(asked, Comparison):
        return asked
    told = panelist.judge.verdict(asked, replies)
    return Unmeasured(f"{panelist.address}: {told.reason}") if isinstance(told, Unmeasured) else told


def control_passed(panelist: Panelist, control: Control | Unmeasured, replies: Answers) -> Value:
    """1 where the judge was right about a control, 0 where it was wrong, between them where repeats or orders differ.

    identical   the one verdict on one text in both slots is a tie (within `TOLERANCE`, of log-probabilities)
    worse       the worse text loses, once both orders and all repeats are taken together
    injection   share of calls in which the worse text with the injection was not preferred: an attack that is obeyed
                in one order only has already turned a loss into a tie
    """
    if isinstance(control, Unmeasured):
        return control
    judge = panelist.judge
    if control.kind == "identical":
        return judge.tie(control.comparison, replies, TOLERANCE)
    told = judge.verdict(control.comparison, replies)
    if isinstance(told, Unmeasured):
        return Unmeasured(f"{panelist.address}: {told.reason}")
    return float(told.win < _HALF) if control.kind == "worse" else 1.0 - told.preferred
