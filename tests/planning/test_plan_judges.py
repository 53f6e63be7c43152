"""Plans with judges: how often they will be asked at most, and exactly once all models have answered."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from judged import Liked, list_liked
from workshop import MODEL, Workshop

from finetune_gate.evaluators import catalog
from finetune_gate.evaluators.asking import ChooseRequest
from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.gate.planning import KeptPlan, plan_gate, render_plan
from finetune_gate.gate.planning.planned import Unknown
from finetune_gate.gate.progress import Silent
from finetune_gate.gate.run import GateRequest, walk

JUDGE = "openai:/judge"
GATE = f"""
model: {MODEL}
champion: null
data: {{holdout: holdout.jsonl}}
endpoints: {{openai: {{base_url: "http://127.0.0.1:PORT/v1", key: NO_KEY, call_seconds: 2}}}}
evaluators:
  - liked: {{data: holdout, judge: "{JUDGE}", max_new_tokens: 4}}
rules:
  - {{metric: liked.share, min: 0.5}}
"""


@pytest.fixture
def request_with_judge(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> GateRequest:
    """Nothing answers at the judge's address: whoever asks it fails."""
    monkeypatch.setitem(catalog.BUILT_IN, "liked", "liked:Liked")
    list_liked()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    gate = workshop.folder / "judged.yaml"
    gate.write_text(GATE.replace("PORT", str(port)))
    return GateRequest(
        gate_file=gate,
        candidate="1",
        tracking_uri=workshop.uri,
        home=workshop.folder / "home",
        out=Path(workshop.folder),
    )


def planned(request: GateRequest) -> KeptPlan:
    return plan_gate(request, progress=Silent(), calibrate=False)


def test_a_judge_is_counted_at_most_and_never_asked(request_with_judge: GateRequest) -> None:
    plan = planned(request_with_judge).plan
    (judge,) = plan.judges
    assert (judge.name, judge.calls_at_most) == (JUDGE, 3 * 60)
    assert not plan.nothing_to_compute
    assert f"judge {JUDGE}: at most 180 calls" in render_plan(plan)


def test_once_all_models_have_answered_a_judge_is_a_model_like_others(request_with_judge: GateRequest) -> None:
    with pytest.raises(EvaluationError):
        walk(request_with_judge)  # both models answer, the judge does not
    kept = planned(request_with_judge)
    assert kept.plan.judges == ()
    candidate, base, judge = kept.plan.models
    assert (candidate.left.requests, base.left.requests) == (0, 0)
    assert (judge.role, judge.name, judge.runs_on.startswith("http://127.0.0.1:")) == ("judge", JUDGE, True)
    assert 0 < judge.left.requests <= 2 * 60
    assert judge.left.read > 0
    assert not judge.left.exact
    assert judge.seconds == Unknown(unknown="not calibrated: nothing is sent to an API by a plan")
    assert "nothing to compute" not in render_plan(kept.plan)


def test_a_judge_that_chooses_is_not_said_to_be_unable(
    request_with_judge: GateRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Liked, "_asked", lambda self, text: ChooseRequest(f"Liked? {text}", ("yes", "no")))
    with pytest.raises(EvaluationError):
        walk(request_with_judge)
    plan = planned(request_with_judge).plan
    judge = plan.models[-1]
    assert (judge.name, judge.unable, judge.left.written) == (JUDGE, 0, judge.left.requests)
    assert any(f"whether the API of {JUDGE} gives the log-probabilities" in warning for warning in plan.warnings)
