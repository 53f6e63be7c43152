"""A gate run within a test, and what it came to.

found = run_gate(Path("gate.yaml"), version="7", out=tmp_path)
found.decision                               # "promote", "block" or "hold"
found.rules["perplexity.bits_per_byte <= 40"]     # "passed"
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from finetune_gate.evaluators.errors import FinetuneGateError

if TYPE_CHECKING:
    from finetune_gate.gate.record import DecisionRecord
    from finetune_gate.gate.run import GateRequest, GateResult


class Gates(Protocol):
    """What the fixture ``gate`` is. See `run_gate`; a path that is not absolute starts where pytest was started."""

    def __call__(
        self,
        path: str | Path,
        *,
        version: str,
        model: str | None = None,
        base: str | None = None,
        dry_run: bool = True,
        home: str | Path | None = None,
        tracking_uri: str | None = None,
    ) -> Gated: ...


class Said(str):
    """A word of a result that knows where it is from, so that a comparison that fails can tell."""

    gated: Gated


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Gated:
    """What a gate came to. ``folder`` holds all that it wrote. ``elsewhere`` is "", or who had gated the version
    already; ``dry_run`` whether anything could be changed."""

    record: DecisionRecord
    folder: Path
    elsewhere: str = ""

    def __repr__(self) -> str:
        return f"<Gated {self.title()}>"

    @property
    def decision(self) -> str:
        """``promote``, ``block`` or ``hold``."""
        return self._said(self.record.decision)

    @property
    def reason(self) -> str:
        """Why, in a sentence."""
        return self.record.sentence

    @property
    def rules(self) -> Mapping[str, str]:
        """Outcome by rule, in the words of reports: ``passed``, ``failed``, ``inconclusive``, ``unmeasured`` or
        ``waived``. Of two rules with the same words, that of the second."""
        return {rule.text: self._said(rule.outcome) for rule in self.record.rules}

    @property
    def dry_run(self) -> bool:
        return self.record.run.dry_run

    @property
    def report(self) -> Path:
        """The page to open in a browser."""
        from finetune_gate.gate.run.states import REPORT_FILE

        return self.folder / REPORT_FILE

    def title(self) -> str:
        """``support-bot v7: block``, inert."""
        from finetune_gate.gate.reports.inert import inert_text

        return inert_text(f"{_candidate_of(self.record)}: {self.record.decision}")

    def rendered(self, width: int = 100) -> str:
        """The decision as a terminal shows it, without colour; text of models is inert."""
        from finetune_gate.gate.reports import render_terminal

        return f"{render_terminal(self.record, width=width)}\n\nReport   {self.report}"

    def summary(self) -> list[str]:
        """The decision, why, and what became of every rule that did not pass: one line each, inert."""
        from finetune_gate.gate.reports.inert import inert_text

        lines = [self.title(), inert_text(self.reason)]
        for rule in self.record.rules:
            if rule.outcome != "passed":
                noted = " (warning only)" if rule.severity == "warn" else ""
                lines.append(inert_text(f"{rule.outcome}{noted}: {rule.sentence}"))
        return [*lines, f"report: {self.report}"]

    def _said(self, word: str) -> Said:
        said = Said(word)
        said.gated = self
        return said


def run_gate(
    path: Path,
    *,
    version: str,
    model: str | None = None,
    base: str | None = None,
    dry_run: bool = True,
    home: Path | None = None,
    out: Path = Path(".finetune-gate"),
    tracking_uri: str | None = None,
) -> Gated:
    """Gate ``version`` (``7``, ``@alias``, ``latest``) by the gate file at ``path``, in this process.

    With ``dry_run`` nothing in the registry changes: not the alias, not a tag, no turn is taken. Without, it is what
    `finetune-gate run` is. ``model`` must be that of the gate file, where it is given. ``home``: where answers are kept
    between runs. Whatever the gate file's ``execution.runner`` is, the answers are computed here.

    Raises FinetuneGateError, with all problems, where it could not come to a decision: ConfigurationError for the gate
    file, its data and the arguments, EvaluationError for the rest.
    """
    __tracebackhide__ = True
    from finetune_gate.flows.cli.run import actor
    from finetune_gate.gate.home import default_home
    from finetune_gate.gate.run import GateRequest

    request = GateRequest(
        gate_file=path,
        candidate=version,
        base=base,
        dry_run=dry_run,
        tracking_uri=tracking_uri,
        out=out,
        home=home or default_home(),
        trigger="pytest",
        actor=actor(),
    )
    try:
        result = _walked(request, model)
    except FinetuneGateError as error:
        # what a reader of a failed test needs is in the problems; the frames in between are ours
        raise error.with_traceback(None) from None
    return Gated(result.record, result.folder, result.elsewhere)


def _walked(request: GateRequest, model: str | None) -> GateResult:
    from finetune_gate.flows.cli.check import refuse_unavailable
    from finetune_gate.flows.expected_model import refuse_other_models
    from finetune_gate.gate.gate_file import load_data, load_gate_file
    from finetune_gate.gate.run import walk_in_turn

    gate = load_gate_file(request.gate_file)
    if model is not None:
        refuse_other_models(request.gate_file, model)
    load_data(gate)  # before anything heavy is imported
    refuse_unavailable(gate)
    with warnings.catch_warnings():
        # warnings of libraries are not the test's: `-W error` must not turn one into a gate that could not evaluate
        warnings.simplefilter("ignore")
        return walk_in_turn(request)


def _candidate_of(record: DecisionRecord) -> str:
    candidate = record.role("candidate")
    return candidate.label if candidate else record.model
