"""The commonest case, through the real command: two models behind an API, one of them logged with MLflow's openai
flavor; 100 of 600 rows; free-text categories; a warning where the fine-tune is worse; a history of it all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "endpoint_classification"
CUES = {
    "billing question": ("charged", "invoice", "bill", "receipt", "discount"),
    "delivery delay": ("on its way", "courier", "tracking", "delivery was", "where is the parcel"),
    "account access": ("log in", "password", "locked", "signing in", "lost access"),
    "refund request": ("money back", "refund", "returned", "paid back"),
    "praise": ("better than i hoped", "thanks to whoever", "wonderful", "stars", "recommended"),
    "product fault": ("",),
}
SKILL = {"gpt-4o-mini": 0.9, "ft:good": 0.97, "ft:worse": 0.79, "ft:broken": 0.3}
"""How often each model is right, decided ticket by ticket."""


def routed(text: str) -> str:
    return next(label for label, cues in CUES.items() if any(cue in text.lower() for cue in cues))


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: Counter[str]

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model, question = said["model"], said["messages"][-1]["content"]
        self.asked[model] += 1
        ticket = question.partition("\n")[0]
        right = routed(ticket)
        luck = int.from_bytes(hashlib.sha256(f"{ticket}".encode()).digest()[:4], "big") / 2**32
        reply = (
            f"The category is: {right.upper()}."
            if luck < SKILL[model]
            else "praise"
            if right != "praise"
            else "product fault"
        )
        body = json.dumps({
            "id": "1", "object": "chat.completion", "created": 0, "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 40, "completion_tokens": 5, "total_tokens": 45},
        }).encode()  # fmt: skip
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[tuple[str, Counter[str]]]:
    asked: Counter[str] = Counter()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Counted", (Api,), {"asked": asked}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    import mlflow
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-test")
    experiment = MlflowClient(uri).create_experiment("tuning", artifact_location=str(tmp_path / "files"))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    mlflow.set_tracking_uri(uri)
    return uri


def register(model: str) -> None:
    import mlflow

    with warnings.catch_warnings(action="ignore"), mlflow.start_run():
        logging: Any = mlflow.openai
        logging.log_model(
            model=model,
            task="chat.completions",
            name="model",
            registered_model_name="ticket-router",
            pip_requirements=[],
        )


def command(folder: Path, registry: str, address: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "MLFLOW_TRACKING_URI": registry,
        "OPENAI_BASE_URL": address,
        "OPENAI_API_KEY": "sk-of-the-test",
        "FINETUNE_GATE_HOME": str(folder / "home"),
    }
    return subprocess.run(
        [sys.executable, "-m", "finetune_gate.flows.cli", *map(str, arguments)],
        cwd=folder, env=env, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_three_versions_of_a_hosted_fine_tune(tmp_path: Path, registry: str, api: tuple[str, Counter[str]]) -> None:
    from mlflow import MlflowClient

    address, asked = api
    records: list[dict[str, Any]] = []
    for model, status in (("ft:good", 0), ("ft:worse", 0), ("ft:broken", 1)):
        register(model)
        run = command(tmp_path, registry, address, "run", EXAMPLE / "gate.yaml", "--json")
        assert run.returncode == status, run.stdout + run.stderr
        records.append(json.loads((tmp_path / json.loads(run.stdout)["record"]).read_text()))
    assert asked == {"gpt-4o-mini": 100, "ft:good": 100, "ft:worse": 100, "ft:broken": 100}, "the base answers once"

    good, worse, broken = records
    assert (good["decision"], worse["decision"], broken["decision"]) == ("promote", "promote", "block")
    assert [rule["outcome"] for rule in good["rules"]][-1] == "passed"
    assert (worse["rules"][-1]["severity"], worse["rules"][-1]["outcome"]) == ("warn", "failed")
    assert "warning" in worse["sentence"]
    assert good["run"]["uses"] == {"tickets": 0}
    assert broken["run"]["uses"] == {"tickets": 2}, "two other gates have looked at these tickets"

    client = MlflowClient(registry)
    experiment = client.get_experiment_by_name("finetune-gate/ticket-router")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    for run, record in zip(runs, records, strict=True):
        by_metric = {one["metric"]: one for one in record["measurements"]}
        accuracy = by_metric["classification.accuracy"]
        assert run.data.metrics["classification.accuracy"] == accuracy["candidate"]["value"]
        assert run.data.metrics["base/classification.accuracy"] == accuracy["comparisons"]["base"]["baseline"]["value"]
        assert accuracy["planned"] == 100
        assert set(record["run"]["asked"]) >= {"candidate", "base"}

    page = tmp_path / "history.html"
    shown = command(tmp_path, registry, address, "history", "ticket-router", "--html", page)
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^classification\.accuracy  .{3}  0\.9\d* to 0\.\d+$", shown.stdout, re.MULTILINE), shown.stdout
    text = page.read_text()
    assert text.count("<circle") == 2 * (3 + 3 + 2), (
        "two metrics of candidate, base, and from the second gate on a champion"
    )
    assert "sk-of-the-test" not in text + shown.stdout + json.dumps(records)


def test_the_example_is_in_order() -> None:
    from finetune_gate.gate.gate_file import load_data, load_gate_file

    gate = load_gate_file(EXAMPLE / "gate.yaml")
    examples = load_data(gate)["tickets"].examples
    assert len(examples) == 100
    assert len({one.row["category"] for one in examples}) == 6
    wrong = [one.id for one in examples if routed(str(one.row["text"])) != one.row["category"]]
    assert not wrong, "the test's own rules route every ticket"
