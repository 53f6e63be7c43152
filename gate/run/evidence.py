"""What is kept of a run besides its record: the files that MLflow gets before anything is acted on.

write_evidence(resolved, record, scored)
evidence_files(resolved, record)     # ("scores.parquet", "findings.json", "examples.parquet", "seen.json", ...)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.evaluator import RatedEvaluator

from ..record import DecisionRecord, write_bytes_atomically
from .example_files import write_examples
from .finding_files import write_findings
from .reviewing import seen_in
from .score_files import write_scores
from .seen_files import write_seen
from .states import EXAMPLES_FILE, FINDINGS_FILE, SCORES_FILE, SEEN_FILE, Resolved, Scored


def evidence_files(resolved: Resolved, record: DecisionRecord) -> tuple[str, ...]:
    """Their names in the run's folder. Other datasets are the user's to keep; what people said is kept with what came
    of it, and what an approval would be of, where one is awaited."""
    found = () if record.findings is None else (FINDINGS_FILE,)
    shown = () if record.examples is None else (EXAMPLES_FILE,)
    seen = (SEEN_FILE,) if record.awaits_approval else ()
    return (SCORES_FILE, *found, *shown, *seen, *_ratings(resolved))


def write_evidence(resolved: Resolved, record: DecisionRecord, scored: Scored) -> None:
    write_scores(scored.table, resolved.folder / SCORES_FILE)
    if record.findings is not None:
        write_findings(scored.findings, resolved.folder / FINDINGS_FILE)
    if record.examples is not None:
        write_examples(scored.examples, resolved.folder / EXAMPLES_FILE)
    if record.awaits_approval:
        write_seen(seen_in(resolved, scored.table), record.digest(), resolved.folder / SEEN_FILE)
    for file, dataset in _ratings(resolved).items():
        lines = (json.dumps(dict(example.row), ensure_ascii=False) for example in dataset.examples)
        write_bytes_atomically(resolved.folder / file, "".join(f"{line}\n" for line in lines).encode())


def _ratings(resolved: Resolved) -> Mapping[str, Dataset]:
    """By file, the ratings that evaluators read, where there are any."""
    rated = (one for one in resolved.gate.evaluators.values() if isinstance(one, RatedEvaluator))
    names = dict.fromkeys(name for evaluator in rated for name in evaluator.reads_ratings())
    return {
        f"ratings-{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.jsonl": resolved.data[name]
        for name in names
        if resolved.data[name].examples
    }
