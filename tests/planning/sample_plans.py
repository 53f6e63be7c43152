"""Plans made by hand, for what reads them."""

from __future__ import annotations

from finetune_gate.gate.planning.planned import (
    GatePlan,
    Left,
    PlannedJudge,
    PlannedModel,
    PlannedRule,
    Seconds,
    Unknown,
    together,
)

CANDIDATE = PlannedModel(
    role="candidate",
    name="candidate",
    label="support-bot v7",
    runs_on="cpu, float32",
    requests=1380,
    stored=0,
    unable=0,
    left=Left(requests=1380, read=104_220, written=12_800),
    seconds=Seconds(loading=4, computing=38),
)
BASE = CANDIDATE.model_copy(
    update={
        "role": "base",
        "name": "base",
        "label": "base-bot v1",
        "stored": 1380,
        "left": Left(),
        "seconds": Seconds(loading=0, computing=0),
    }
)
CHAMPION = CANDIDATE.model_copy(
    update={
        "role": "champion",
        "name": "champion",
        "label": "gpt-4o-mini",
        "runs_on": "https://api.openai.com/v1",
        "left": Left(requests=1380, read=110_000, written=12_800, exact=False),
        "seconds": Unknown(unknown="not calibrated: nothing is sent to an API by a plan"),
    }
)
JUDGE = PlannedJudge(
    name="openai:/gpt-4o", label="openai:/gpt-4o", runs_on="https://api.openai.com/v1", calls_at_most=4140
)
RULES = (
    PlannedRule(
        rule="classification.accuracy >= 0.75",
        severity="block",
        confidence=0.95,
        examples=320,
        clusters=None,
        detects=0.0602,
        unit="",
        assumption="for a value, the spread of scores whose mean is the bound",
    ),
    PlannedRule(
        rule="classification.accuracy at most 0.02 worse than base and champion",
        severity="block",
        confidence=0.95,
        examples=320,
        clusters=80,
        detects=0.124,
        unit="",
        assumption="for a change, models that differ on 20 % of the examples, each cluster counted as one example",
        needed=3092,
        shortfall="margin 0.02 needs about 3,092 clusters; there are 80",
    ),
    PlannedRule(
        rule="perplexity.bits_per_byte not worse than base",
        severity="warn",
        confidence=0.95,
        examples=320,
        clusters=None,
        detects=Unknown(unknown="known once the base has answered"),
        unit="bits/byte",
    ),
)


def plan_of(*models: PlannedModel, judges: tuple[PlannedJudge, ...] = (), age_seconds: int | None = None) -> GatePlan:
    return GatePlan(
        model="support-bot",
        gate_file="gate.yaml",
        planned_at="2026-01-05T10:00:00+00:00",
        age_seconds=age_seconds,
        wanted=1440,
        different=1380,
        models=models,
        judges=judges,
        seconds=together(models),
        rules=RULES,
        warnings=("the candidate's files are identical to the champion's: no run promotes it",),
        notes=("texts are counted at their full length; they may end earlier",),
    )
