"""Decision records of made-up models, measured and decided by the real functions. The same text everywhere."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from math import log

from finetune_gate.evaluators.absent import Unmeasured, Value
from finetune_gate.evaluators.classification import Classification
from finetune_gate.evaluators.measurement import Measurement, measure
from finetune_gate.evaluators.metrics import Metric
from finetune_gate.evaluators.perplexity import Perplexity
from finetune_gate.evaluators.scores import EvaluatorScores, ScoredExample, ScoreTable
from finetune_gate.gate.deciding import Circumstances, decide
from finetune_gate.gate.gate_file import Rule, Waiver
from finetune_gate.gate.record import (
    DatasetRecord,
    DecisionRecord,
    EvaluatorRecord,
    GateFileRecord,
    ModelRecord,
    RunRecord,
    ScoreTableRecord,
    UsageRecord,
)
from finetune_gate.gate.run.record_parts import measurement_record, rule_record

LABELS = ("billing", "bug", "praise")
TODAY = date(2025, 3, 4)
CLASSIFICATION = Classification(data="holdout", labels=LABELS)
PERPLEXITY = Perplexity(data="holdout")


FEW = frozenset({"accuracy", "f1_macro", "label_nll", "perplexity", "bits_per_byte"})
ALL = frozenset(metric.name for evaluator in (CLASSIFICATION, PERPLEXITY) for metric in evaluator.metrics())


@dataclass(frozen=True)
class Story:
    """What is true of the made-up models: shares of right answers, surprise per token, and what goes wrong."""

    rules: tuple[Rule, ...]
    n: int = 320
    right: Mapping[str, float] = field(default_factory=lambda: {"candidate": 0.86, "base": 0.7, "champion": 0.8})
    surprise: Mapping[str, float] = field(default_factory=lambda: {"candidate": 1.1, "base": 2.3, "champion": 1.3})
    broken: int = 0  # answers of the candidate that failed
    champion_note: str = ""
    metrics: frozenset[str] = FEW


ACCURATE = Rule(metric="classification.accuracy", min=0.75)
NOT_WORSE = Rule(metric="classification.accuracy", min_change=0.0, margin=0.02)
BETTER_F1 = Rule(metric="classification.f1_macro", min_change=0.0, against="base")
FLUENT = Rule(metric="perplexity.perplexity", max=2.5, severity="warn")
BILLING = Rule(metric="classification.accuracy", slice={"category": "billing"}, min=0.7)
WAIVER = Waiver(owner="dana", reason="the billing prompt changes next week, see OPS-12", expires=date(2025, 3, 31))

STORIES: Mapping[str, Story] = {
    "promote": Story((ACCURATE, NOT_WORSE, BETTER_F1, BILLING, FLUENT), metrics=ALL),
    "block": Story(
        (ACCURATE, NOT_WORSE, BETTER_F1, BILLING, FLUENT.model_copy(update={"max": 1.5})),
        right={"candidate": 0.62, "base": 0.7, "champion": 0.84},
    ),
    "hold": Story(
        (ACCURATE, NOT_WORSE, BETTER_F1, FLUENT),
        n=120,
        right={"candidate": 0.82, "base": 0.72, "champion": 0.81},
    ),
    "unmeasured": Story(
        (ACCURATE, NOT_WORSE, Rule(metric="toxicity.rate", max=0.01), FLUENT),
        broken=40,
    ),
    "waived": Story(
        (ACCURATE, NOT_WORSE, BILLING.model_copy(update={"min": 0.9, "waiver": WAIVER}), FLUENT),
    ),
    "first": Story(
        (ACCURATE, NOT_WORSE.model_copy(update={"confidence": "none"}), BETTER_F1),
        right={"candidate": 0.84, "base": 0.7},
        surprise={"candidate": 1.1, "base": 2.3},
        champion_note="no version has the alias @champion: a first model, judged against its base alone",
    ),
}


def sample(name: str) -> tuple[DecisionRecord, ScoreTable]:
    """``sample("promote")``, and "block", "hold", "unmeasured", "waived", "first"."""
    story = STORIES[name]
    table = _table(story)
    return _settled(_record(story, table)), table


@cache
def record_of(name: str) -> DecisionRecord:
    return sample(name)[0]


def _settled(record: DecisionRecord) -> DecisionRecord:
    """Read back from JSON with six digits of every number: golden texts must not hang on the last bit of a platform."""
    content = json.loads(record.canonical(), parse_float=lambda digits: float(f"{float(digits):.6g}"))
    return DecisionRecord.model_validate_json(json.dumps(content))


def _table(story: Story) -> ScoreTable:
    luck = random.Random(7)
    category = [LABELS[luck.randrange(3)] for _ in range(story.n)]
    examples = tuple(ScoredExample(f"ticket-{i:03d}", None, {"category": name}) for i, name in enumerate(category))
    difficulty = [luck.random() for _ in range(story.n)]
    lengths = [20 + luck.randrange(40) for _ in range(story.n)]
    labels: dict[str, Mapping[str, tuple[Value, ...]]] = {}
    texts: dict[str, Mapping[str, tuple[Value, ...]]] = {}
    for role, share in story.right.items():
        truth = [LABELS.index(name) for name in category]
        own = [0.7 * hard + 0.3 * luck.random() < 0.15 + 0.7 * share for hard in difficulty]
        guess = [code if right else (code + 1 + luck.randrange(2)) % 3 for code, right in zip(truth, own, strict=True)]
        nll = [story.surprise[role] * (0.5 + luck.random()) / 2 * length for length in lengths]
        columns: dict[str, list[Value]] = {
            "label": [float(code) for code in truth],
            "prediction": [float(code) for code in guess],
            "correct": [float(right) for right in own],
            "correct_norm": [float(right) for right in own],
            "invalid": [0.0] * story.n,
            "label_nll": [0.1 + hard / 2 if right else 1.2 for hard, right in zip(difficulty, own, strict=True)],
        }
        if role == "candidate" and story.broken:
            for name in columns.keys() - {"label"}:
                columns[name][: story.broken] = [Unmeasured("CUDA out of memory on a batch of 64")] * story.broken
        labels[role] = {name: tuple(values) for name, values in columns.items()}
        texts[role] = {
            "nll": tuple(nll),
            "bits": tuple(value / log(2) for value in nll),
            "tokens": tuple(float(length) for length in lengths),
            "bytes": tuple(4.0 * length for length in lengths),
            "words": tuple(float(length // 2) for length in lengths),
        }
    return ScoreTable(
        (EvaluatorScores("classification", examples, labels), EvaluatorScores("perplexity", examples, texts))
    )


def _record(story: Story, table: ScoreTable) -> DecisionRecord:
    found: list[Measurement] = []
    for evaluator in (CLASSIFICATION, PERPLEXITY):
        scores = table.of(evaluator.title)
        found += [measure(metric, scores) for metric in evaluator.metrics() if metric.name in story.metrics]
    by_rule: dict[int, Measurement] = {}
    for index, rule in enumerate(story.rules):
        title, _, name = rule.metric.partition(".")
        metric = _metric(title, name)
        if metric is None:
            continue
        confidence = 0.95 if rule.confidence == "none" else rule.confidence
        made = measure(metric, table.of(title), confidence=confidence, slice_by=rule.slice)
        by_rule[index] = made
        if made not in found:
            found.append(made)
    has_champion = "champion" in story.right
    decision = decide(story.rules, by_rule, Circumstances(has_champion, (), TODAY))
    return DecisionRecord(
        model="support-bot",
        decision=decision.verdict,
        sentence=decision.sentence,
        rules=tuple(
            rule_record(result, found.index(by_rule[result.index]) if result.index in by_rule else None)
            for result in decision.results
        ),
        measurements=tuple(measurement_record(one) for one in found),
        models=tuple(_model(role) for role in story.right),
        champion_note=story.champion_note,
        identical=(),
        datasets=(DatasetRecord(name="holdout", file="data/holdout.jsonl", digest="5f" * 32, rows=story.n),),
        evaluators=tuple(
            EvaluatorRecord(title=one.title, kind=one.kind, version=one.version, settings=dict(one.settings()))
            for one in (CLASSIFICATION, PERPLEXITY)
        ),
        gate_file=GateFileRecord(
            digest="9e" * 32,
            settings={
                "model": "support-bot",
                "base": "auto",
                "champion": "@champion",
                "data": {"holdout": {"path": "data/holdout.jsonl"}},
                "rules": [rule.model_dump(mode="json", exclude_defaults=True) for rule in story.rules],
                "promotion": {"alias": "champion", "stage": None},
            },
        ),
        score_table=ScoreTableRecord(file="scores.parquet", digest=table.digest(), rows=sum(1 for _ in table.rows())),
        seed=0,
        today=TODAY.isoformat(),
        run=RunRecord(
            key="20250304-091530-support-bot-7",
            trigger="registry event: version 7 was created",
            actor="dana",
            started_at="2025-03-04T09:15:30+00:00",
            seconds={"resolve": 1.4, "answer": 187.2, "score": 0.8, "decide": 0.1},
            software={"finetune-gate": "0.1.0", "mlflow": "3.10.1", "torch": "2.6.0", "transformers": "5.0.0"},
            dry_run=False,
            tracking_uri="http://mlflow.internal:5000",
            asked={"candidate": 4 * story.n, "base": 0, "champion": 0},
            stored={"candidate": 0, "base": 4 * story.n, "champion": 4 * story.n},
            usage={
                "candidate": UsageRecord(prompt_tokens=90 * story.n),
                "base": UsageRecord(),
                "champion": UsageRecord(),
            },
        ),
    )


def _metric(title: str, name: str) -> Metric | None:
    evaluator = {"classification": CLASSIFICATION, "perplexity": PERPLEXITY}.get(title)
    return next((metric for metric in evaluator.metrics() if metric.name == name), None) if evaluator else None


def _model(role: str) -> ModelRecord:
    number = {"candidate": "7", "base": None, "champion": "6"}[role]
    origins = {"candidate": "version 7", "base": "run tag base_model", "champion": "alias @champion"}
    base = role == "base"
    return ModelRecord(
        role=role,  # pyright: ignore[reportArgumentType]
        label="models:/ticket-base/1" if base else f"support-bot v{number}",
        uri="models:/ticket-base/1" if base else f"models:/support-bot/{number}",
        name=None if base else "support-bot",
        version=number,
        run_id=None if base else f"{number}a1b2c3d4e5f60718293a4b5c6d7e8f9",
        origin=origins[role],
        layout="huggingface" if base else "peft",
        digest={"candidate": "c4", "base": "ba", "champion": "c3"}[role] * 32,
        files_digest={"candidate": "f4", "base": "fa", "champion": "f3"}[role] * 32,
        facts={"parameters": 134515008, "dtype": "float32"},
    )


HOSTILE = (
    "\x1b[31mred\x1b[0m \u202eetirw\u202c [red]x[/red] <script>alert(1)</script> "
    "<img src=http://evil.example/x onerror=y> `code` ``` | pipe \\| @maintainer #12 "
    "[link](http://evil.example) ![image](http://evil.example/i.png) https://evil.example "
    "</td></table> {{ 7 * 7 }} {% raw %} \"'&amp; --> $x$ \x00\x07\x9b"
)


def hostile_record() -> DecisionRecord:
    """Every text of a record that somebody else wrote, replaced by one that tries to act."""
    record = record_of("unmeasured")
    rewrite: Callable[[Sequence[str]], dict[str, str]] = lambda names: dict.fromkeys(names, HOSTILE)  # noqa: E731
    check = (
        record.rules[0]
        .checks[0]
        .model_copy(update={"measured": record.rules[0].checks[0].measured.model_copy(update={"unmeasured": HOSTILE})})
    )
    waiver = {"owner": HOSTILE, "reason": HOSTILE, "expires": HOSTILE}
    rules = (
        record.rules[0].model_copy(update={"checks": (check,)} | rewrite(["text", "sentence", "metric"])),
        record.rules[1].model_copy(update={"outcome": "waived", "settings": {"waiver": waiver, "slice": {}}}),
        *record.rules[2:],
    )
    first = record.measurements[0].model_copy(update={"slice": {HOSTILE: HOSTILE}} | rewrite(["metric", "unit"]))
    measured = record.measurements[-1].candidate.model_copy(update={"method": HOSTILE, "warnings": (HOSTILE,)})
    last = record.measurements[-1].model_copy(update={"candidate": measured})
    evaluator = record.evaluators[0].model_copy(update={"settings": {"labels": [HOSTILE, "bug", "praise"]}})
    names = ["label", "uri", "name", "version", "run_id", "origin", "layout", "digest", "files_digest"]
    models = tuple(model.model_copy(update={**rewrite(names), "facts": {HOSTILE: HOSTILE}}) for model in record.models)
    run = record.run.model_copy(
        update={**rewrite(["key", "trigger", "actor", "started_at", "tracking_uri"]), "software": {HOSTILE: HOSTILE}}
    )
    return record.model_copy(
        update={
            **rewrite(["model", "sentence", "champion_note", "today"]),
            "rules": rules,
            "measurements": (first, *record.measurements[1:-1], last),
            "models": models,
            "identical": (HOSTILE,),
            "datasets": (record.datasets[0].model_copy(update=rewrite(["name", "file", "digest"])),),
            "evaluators": (evaluator, *record.evaluators[1:]),
            "gate_file": record.gate_file.model_copy(update={"digest": HOSTILE, "settings": {HOSTILE: HOSTILE}}),
            "score_table": record.score_table.model_copy(update=rewrite(["file", "digest"])),
            "run": run,
        }
    )
