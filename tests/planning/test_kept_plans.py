"""Plans that are kept for a while: when they hold, and what they say when the answer store has changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from sample_plans import BASE, CANDIDATE, JUDGE, plan_of

from finetune_gate.evaluators.asking import TokenLogprobs
from finetune_gate.gate.answers import AnswerStore, ModelKey
from finetune_gate.gate.gate_file import load_gate_file
from finetune_gate.gate.planning import KeptPlan, keep_plan, plan_key, read_plan
from finetune_gate.gate.planning.cache import VALID_SECONDS, KeptModel, KeptShard, seconds_of, up_to_date
from finetune_gate.gate.planning.planned import GatePlan, Left, Line, Seconds, ShardSize, Speed, Unknown, together

SPEED = Speed(loading=2, scores_batch=100, texts_batch=400, scoring=Line(fixed=0.5, each=0.01))
NOW = 1_800_000_000.0


def shard(name: str, read: int) -> KeptShard:
    """Two requests that are missing."""
    size = ShardSize(kind="scores", left=Left(requests=2, read=read), rows=2, steps=0)
    return KeptShard(held=(), missing=(f"{name} 1", f"{name} 2"), size=size)


def whole(*names: str) -> KeptShard:
    return KeptShard(held=names, missing=(), size=ShardSize(kind="scores", left=Left(), rows=0, steps=0))


CANDIDATE_SHARDS = (shard("candidate a", 100), shard("candidate b", 250), whole("candidate c"))
BASE_SHARDS = (shard("base", 100),)


def kept(speed: Speed | Unknown = SPEED, plan: GatePlan | None = None) -> KeptPlan:
    models = []
    for model, shards in ((CANDIDATE, CANDIDATE_SHARDS), (BASE, BASE_SHARDS)):
        left = sum((one.size.left for one in shards), Left())
        seconds = seconds_of(speed, [one.size for one in shards])
        stored = sum(len(one.held) for one in shards)
        models.append(model.model_copy(update={"left": left, "seconds": seconds, "stored": stored}))
    return KeptPlan(
        made=NOW,
        plan=plan or plan_of(*models),
        models={
            "candidate": KeptModel(speed=speed, shards=CANDIDATE_SHARDS),
            "base": KeptModel(speed=speed, shards=BASE_SHARDS),
        },
    )


def holding(*addresses: str) -> object:
    held = {"candidate c", *addresses}

    def count(asked: Sequence[str]) -> int:
        return sum(address in held for address in asked)

    return count


def refreshed(one: KeptPlan, *addresses: str) -> GatePlan | None:
    return up_to_date(one, holding(*addresses))  # pyright: ignore[reportArgumentType] - a count, as it should be


def test_an_unchanged_store_gives_the_same_plan() -> None:
    assert refreshed(kept()) == kept().plan
    assert refreshed(kept(Unknown(unknown="not calibrated"))) == kept(Unknown(unknown="not calibrated")).plan


def test_a_shard_that_was_answered_meanwhile_is_counted_as_such() -> None:
    plan = refreshed(kept(), "candidate a 1", "candidate a 2")
    assert plan is not None
    candidate = plan.models[0]
    assert (candidate.stored, candidate.left) == (3, Left(requests=2, read=250))
    assert candidate.seconds == Seconds(loading=2, computing=3 * 0.5 + 2.5)
    assert plan.seconds == together(plan.models)
    done = refreshed(kept(), *(address for one in CANDIDATE_SHARDS for address in one.missing))
    assert done is not None
    assert (done.models[0].left.requests, done.models[0].seconds) == (0, Seconds(loading=0, computing=0))


@pytest.mark.parametrize(
    "changed",
    [
        ("candidate a 1",),  # a part of a shard
        ("base 1", "base 2"),  # now rules may know more
    ],
)
def test_what_the_kept_plan_cannot_tell_is_planned_again(changed: tuple[str, ...]) -> None:
    assert refreshed(kept(), *changed) is None


def test_an_answer_that_went_away_is_planned_again() -> None:
    assert up_to_date(kept(), lambda addresses: 0) is None


def test_judges_are_planned_again_once_anything_is_answered() -> None:
    plan = kept().plan.model_copy(update={"judges": (JUDGE,)})
    judged = kept(plan=plan)
    assert refreshed(judged) == plan
    assert refreshed(judged, "candidate a 1", "candidate a 2") is None


def test_a_model_that_is_another_one_follows_it() -> None:
    twin = (
        kept()
        .plan.models[0]
        .model_copy(update={"role": "champion", "name": "champion", "same_as": "candidate", "left": Left()})
    )
    both = kept(plan=kept().plan.model_copy(update={"models": (*kept().plan.models, twin)}))
    plan = refreshed(both, "candidate a 1", "candidate a 2")
    assert plan is not None
    assert (plan.models[2].stored, plan.models[2].left.requests) == (3, 0)


def test_a_kept_plan_is_read_for_ten_minutes_and_says_its_age(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        store.put({"candidate c": TokenLogprobs((-1.0,))}, ModelKey("d", "label"))
    keep_plan(tmp_path, "key", kept())
    fresh = read_plan(tmp_path, "key", NOW + 200.7)
    assert fresh is not None
    assert (fresh.age_seconds, fresh.model_copy(update={"age_seconds": None})) == (200, kept().plan)
    assert read_plan(tmp_path, "other", NOW) is None
    for later in (VALID_SECONDS, -1):
        assert read_plan(tmp_path, "key", NOW + later) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"layout": "finetune-gate/kept-plan/v0"}'])
def test_a_kept_plan_that_cannot_be_read_is_no_plan(tmp_path: Path, content: bytes) -> None:
    with AnswerStore(tmp_path / "answers.sqlite"):
        pass
    keep_plan(tmp_path, "key", kept())
    (tmp_path / "plans" / "key.json").write_bytes(content)
    assert read_plan(tmp_path, "key", NOW) is None


def test_no_answer_store_is_no_plan(tmp_path: Path) -> None:
    keep_plan(tmp_path, "key", kept())
    assert read_plan(tmp_path, "key", NOW) is None


def test_keeping_one_removes_those_that_are_too_old(tmp_path: Path) -> None:
    import os
    import time

    keep_plan(tmp_path, "old", kept())
    keep_plan(tmp_path, "new", kept())
    past = time.time() - 2 * VALID_SECONDS
    os.utime(tmp_path / "plans" / "old.json", (past, past))
    keep_plan(tmp_path, "newest", kept())
    assert {file.stem for file in (tmp_path / "plans").iterdir()} == {"new", "newest"}


def test_the_key_changes_with_whatever_a_plan_rests_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "holdout.jsonl"
    data.write_text(json.dumps({"id": "1", "text": "some text"}) + "\n")
    gate_file = tmp_path / "gate.yaml"
    gate_file.write_text(
        "model: m\ndata: {h: holdout.jsonl}\nevaluators: [{perplexity: {data: h}}]\n"
        "rules: [{metric: perplexity.perplexity, max: 9}]\n"
    )

    def key(candidate: str = "7", base: str | None = None, uri: str | None = None, calibrate: bool = True) -> str:
        return plan_key(load_gate_file(gate_file), candidate, base=base, tracking_uri=uri, calibrate=calibrate)

    keys = [key(), key("8"), key(base="models:/b/1"), key(uri="http://127.0.0.1:5000"), key(calibrate=False)]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5001")
    keys.append(key())
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert key() == keys[0]
    data.write_text(json.dumps({"id": "1", "text": "other text"}) + "\n")
    keys.append(key())
    gate_file.write_text(gate_file.read_text() + "# a comment\n")
    keys.append(key())
    data.unlink()
    keys.append(key())
    assert len(set(keys)) == len(keys)
