"""Plans kept for ten minutes, so that asking again answers at once; what the answer store holds is counted anew.

    key = plan_key(gate, "7", base=None, tracking_uri=None, calibrate=True)
    plan = read_plan(home, key, now=time.time())        # None: make it, then keep_plan(home, key, kept)

Reading one imports neither torch nor transformers, MLflow or Prefect, and asks the registry nothing: what an alias or
``latest`` points to, and what lies in a folder named as base, is taken to be what it was. A run never uses one.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from finetune_gate.evaluators.errors import EvaluationError

from ..gate_file import Gate
from .planned import GatePlan, Left, Part, PlannedModel, Seconds, ShardSize, Speed, Unknown, together
from .spending import spending_within

VALID_SECONDS = 600
SCHEMA = "finetune-gate/kept-plan/v1"
_ENVIRONMENT = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "OPENAI_BASE_URL", "HF_HOME", "HF_HUB_CACHE")

Count = Callable[[Sequence[str]], int]
"""How many of these addresses the answer store holds."""


class KeptShard(Part):
    """Addresses of one shard: ``held`` by the store when the plan was made, ``missing`` then; ``size`` is of these."""

    held: tuple[str, ...]
    missing: tuple[str, ...]
    size: ShardSize


class KeptModel(Part):
    speed: Speed | Unknown
    shards: tuple[KeptShard, ...]


class KeptPlan(Part):
    """A plan with what is needed to bring it up to date. ``made`` is in seconds since 1970; ``models`` by name."""

    layout: Literal["finetune-gate/kept-plan/v1"] = SCHEMA
    made: float
    plan: GatePlan
    models: dict[str, KeptModel]


def plan_key(gate: Gate, candidate: str, *, base: str | None, tracking_uri: str | None, calibrate: bool) -> str:
    """Names a plan: equal gate file, data, candidate, base, registry, environment and program make an equal key."""
    try:
        program = version("finetune-gate")
    except PackageNotFoundError:
        program = "unknown"
    about = {
        "program": program,
        "gate": [str(gate.path.resolve()), gate.digest],
        "data": {name: _digest(gate.folder / source.path) for name, source in gate.file.data.items()},
        "candidate": candidate,
        "base": base,
        "registry": tracking_uri,
        "folder": os.getcwd(),  # relative addresses, and where nothing is given MLflow's default, depend on it
        "environment": {name: os.environ.get(name) for name in _ENVIRONMENT},
        "calibrate": calibrate,
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str | None:
    """None where it cannot be read: whoever makes the plan says so better."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def read_plan(home: Path, key: str, now: float) -> GatePlan | None:
    """The kept plan, brought up to date; None where there is none, it is too old, or the store has changed such that
    it must be made anew."""
    from ..answers.opening import STORE_FILE
    from ..answers.store import AnswerStore

    try:
        kept = KeptPlan.model_validate_json(_file(home, key).read_bytes())
    except (OSError, ValidationError):
        return None
    store = home / STORE_FILE
    if not 0 <= now - kept.made < VALID_SECONDS or not store.exists():
        return None
    try:
        with AnswerStore(store) as answers:
            plan = up_to_date(kept, answers.count)
    except EvaluationError:
        return None
    return None if plan is None else plan.model_copy(update={"age_seconds": int(now - kept.made)})


def keep_plan(home: Path, key: str, kept: KeptPlan) -> None:
    """Keep a plan, and remove those that are too old."""
    from ..record import write_bytes_atomically

    folder = home / "plans"
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(_file(home, key), kept.model_dump_json().encode())
    for file in folder.glob("*.json"):
        try:
            if time.time() - file.stat().st_mtime > VALID_SECONDS:
                file.unlink()
        except OSError:  # another process was faster
            continue


def _file(home: Path, key: str) -> Path:
    return home / "plans" / f"{key}.json"


def up_to_date(kept: KeptPlan, count: Count) -> GatePlan | None:
    """The plan with what the store holds now. A shard is as it was or complete: how many tokens a part of one has,
    only the tokenizer knows. What a baseline has answered meanwhile changes what rules can detect, and what any model
    has, the questions to judges. In these cases None: plan again."""
    models: dict[str, PlannedModel] = {}
    for model in kept.plan.models:
        if model.same_as is not None:
            models[model.name] = model.model_copy(update={"stored": models[model.same_as].stored})
            continue
        now = _updated(model, kept.models[model.name], count)
        if now is None or (now != model and (kept.plan.judges or model.role in ("base", "champion"))):
            return None
        models[model.name] = now
    found = tuple(models.values())
    update: dict[str, object] = {"models": found, "seconds": together(found)}
    if kept.plan.budget is not None:
        update["budget"] = spending_within(kept.plan.budget, found, kept.plan.judges)
    return kept.plan.model_copy(update=update)


def _updated(model: PlannedModel, kept: KeptModel, count: Count) -> PlannedModel | None:
    left: list[ShardSize] = []
    stored = 0
    for shard in kept.shards:
        if count(shard.held) != len(shard.held):
            return None
        fresh = count(shard.missing)
        if fresh not in (0, len(shard.missing)):
            return None
        stored += len(shard.held) + fresh
        if not fresh:
            left.append(shard.size)
    update = {
        "stored": stored,
        "left": sum((size.left for size in left), Left()),
        "seconds": seconds_of(kept.speed, left),
    }
    return model.model_copy(update=update)


def seconds_of(speed: Speed | Unknown, shards: Sequence[ShardSize]) -> Seconds | Unknown:
    """No time at all where nothing is left."""
    if not any(shard.left.requests for shard in shards):
        return Seconds(loading=0, computing=0)
    if isinstance(speed, Unknown):
        return speed
    return Seconds(loading=speed.loading, computing=sum(speed.of(shard) for shard in shards))
