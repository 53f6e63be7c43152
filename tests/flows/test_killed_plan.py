"""SIGKILL at forty points of a plan of two models and a judge: nothing that was finished is computed or paid for again.

Counted where it counts: in the store, whose every write is written down, and at the judge's server, which writes down
every question. In flight at the moment of the kill, and so asked again, may be one shard of a model, or the questions
that the judge had been sent and whose answers had not come. FINETUNE_GATE_LONG_TESTS=1 takes all forty points.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from workshop import MODEL, Workshop, copy_workshop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
HERE = Path(__file__).parent
POINTS = 40 if os.environ.get("FINETUNE_GATE_LONG_TESTS") else 4
JUDGE = "openai:/judge"

GATE = f"""
model: {MODEL}
champion: null
data: {{holdout: holdout.jsonl}}
endpoints: {{openai: {{base_url: "http://127.0.0.1:PORT/v1", key: NO_KEY, max_in_flight: 8}}}}
evaluators:
  - classification: {{data: holdout, labels: [billing, parcel]}}
  - liked: {{data: holdout, judge: "{JUDGE}", max_new_tokens: 6}}
rules:
  - {{metric: classification.label_nll, max: 1000}}
  - {{metric: liked.share, min: 0.0001, confidence: none}}
"""


@pytest.fixture(scope="module")
def judge_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The questions that a judge's server was asked, and its port."""
    log = tmp_path_factory.mktemp("judge") / "questions.log"
    server = subprocess.Popen(
        [sys.executable, str(HERE / "judging_server.py"), str(log)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    yield log, int(server.stdout.readline())
    assert server.stdin is not None
    server.stdin.close()
    server.wait(timeout=20)


def killed(workshop: Workshop, scratch: Path, log: Path, points: list[str]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(HERE / "killing.py"), str(workshop.folder), str(scratch), *points],
        env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}", "JUDGE_LOG": str(log)},
        capture_output=True, text=True, timeout=1700, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def spread(kind: str, last: int, count: int) -> list[str]:
    """``count`` points from the first to the last, evenly."""
    return [f"{kind}:{1 + round(number * (last - 1) / max(1, count - 1))}" for number in range(count)]


def test_nothing_finished_is_computed_twice(original: Workshop, tmp_path: Path, judge_log: tuple[Path, int]) -> None:
    log, port = judge_log
    workshop = copy_workshop(original, tmp_path / "workshop")
    (workshop.folder / "gate.yaml").write_text(GATE.replace("PORT", str(port)))
    whole = killed(workshop, tmp_path / "whole", log, ["count"])[0]
    questions = set(log.read_text().splitlines())
    assert (whole["decision"], whole["rules"]) == ("promote", ["passed", "passed"])
    assert whole["asked"] == 2 * (120 + 60) + len(questions)

    third = POINTS // 3
    points = [
        *spread("ask", whole["came"], POINTS - 2 * third),
        *spread("put", whole["puts"], third),
        *spread("shard", whole["puts"], third),
    ]
    found = killed(workshop, tmp_path / "killed", log, points)
    assert [run["point"] for run in found] == points
    for run in found:
        again = run["again"]
        assert run["killed"] == 9, run["point"]
        assert (again["scores"], again["record"], again["decision"]) == (whole["scores"], whole["record"], "promote")
        kept, before = run["kept"], run["kept_before"]
        assert len(kept) == len(set(kept)) == whole["asked"], run["point"]
        assert again["asked"] == whole["asked"] - len(before), run["point"]
        judged = [line for line in before if line.startswith(JUDGE)]
        assert len(run["questions_after"]) == len(questions) - len(judged), run["point"]
        assert 0 <= len(run["questions_before"]) - len(judged) <= 8, run["point"]
        asked_again = set(run["questions_before"]) & set(run["questions_after"])
        assert len(asked_again) == len(run["questions_before"]) - len(judged), run["point"]
