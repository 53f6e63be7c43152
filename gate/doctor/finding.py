"""What a look at one thing found, and how it is mended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from finetune_gate.evaluators.errors import FinetuneGateError, without_credentials

from ..reports.inert import inert_text

State = Literal["ok", "warning", "fault", "skipped"]
"""``fault``: a gate would not run. ``warning``: it would, and something may surprise later. ``skipped``: it cannot be
known from here, or was not asked for."""

_LONGEST = 700


@dataclass(frozen=True, slots=True)
class Finding:
    """Made by `ok`, `warning`, `fault` and `skipped`, which make foreign text inert and take user and password out of
    addresses: a finding is fit for terminals and logs."""

    name: str
    state: State
    found: str
    way_out: str = ""

    def to_json(self) -> dict[str, str]:
        return asdict(self)


def ok(name: str, found: str) -> Finding:
    return _finding(name, "ok", found, "")


def warning(name: str, found: str, way_out: str) -> Finding:
    return _finding(name, "warning", found, way_out)


def fault(name: str, found: str, way_out: str) -> Finding:
    return _finding(name, "fault", found, way_out)


def skipped(name: str, found: str, way_out: str = "") -> Finding:
    return _finding(name, "skipped", found, way_out)


def faults_of(name: str, error: FinetuneGateError) -> list[Finding]:
    """One for each problem of ``error``."""
    findings: list[Finding] = []
    for problem in error.problems:
        expected = f"expected: {problem.expected}" if problem.expected else "correct it there"
        findings.append(fault(name, f"{problem.where}: {problem.found}", problem.way_out or expected))
    return findings


def keeps_gates_from_running(findings: Iterable[Finding]) -> bool:
    return any(finding.state == "fault" for finding in findings)


def _finding(name: str, state: State, found: str, way_out: str) -> Finding:
    return Finding(name, state, _fit(found), _fit(way_out))


def _fit(text: str) -> str:
    return inert_text(without_credentials(text), limit=_LONGEST)
