"""What the docs' commands find where they are run: a registry of tiny models, data, gate files, and a finished run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from little_llama import CORPUS, write_tiny_llama
from workshop import copy_registry

from finetune_gate.evaluators.errors import FinetuneGateError
from finetune_gate.flows.cli.program import program

MODEL, BASE, DEMO = "support-bot", "support-base", "helpdesk-router"
LABELS = ("billing", "bug", "praise")
VERSIONS = 7

GATE = f"""\
model: {MODEL}
data: {{holdout: holdout.jsonl}}
evaluators:
  - classification: {{data: holdout, labels: [{", ".join(LABELS)}]}}
  - perplexity: {{data: holdout}}
rules:
  - {{metric: perplexity.bits_per_byte, max: 40}}
"""
ASKING_PEOPLE = f"""\
model: {MODEL}
data:
  questions: questions.jsonl
  ratings: {{path: ratings.jsonl, optional: true}}
evaluators:
  - human: {{data: questions, prompt: "{{question}}", ratings: ratings, criteria: [accuracy, tone], max_new_tokens: 4}}
rules:
  - {{metric: human.win_rate, min: 0.5, against: base}}
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """``folder`` holds gate files and data; the registry, with versions 1 to 7 of ``support-bot``, lies beside them."""

    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder / 'mlflow.db'}",
            "FINETUNE_GATE_HOME": str(self.folder / "home"),
        }

    def crown(self, version: str) -> None:
        _client(self).set_registered_model_alias(MODEL, "champion", version)

    def write_gate(self, text: str) -> None:
        (self.folder / "gate.yaml").write_text(text, encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Finished:
    status: int
    output: str


def finetune_gate(*words: str) -> Finished:
    """The real command line, in this process: what it imports once, every command of the docs uses."""
    try:
        done = CliRunner().invoke(program, words, input="", catch_exceptions=False, standalone_mode=False)
    except FinetuneGateError as error:
        return Finished(error.exit_status, f"error: {error}")
    status = done.return_value if isinstance(done.return_value, int) else done.exit_code
    return Finished(status, done.output if done.exception is None else f"{done.output}\n{done.exception!r}")


def make_ground(folder: Path) -> Ground:
    ground = Ground(folder)
    _register(ground)
    rows = [
        {
            "id": f"ticket-{i:03}",
            "text": f"{CORPUS[i % 3]} {i}",
            "label": LABELS[i % 3],
            "category": "ab"[i % 2],
            "language": ("en", "fr")[i % 2],
            "queue": ("router", "phone")[i % 2],
            "product": ("router", "phone", "cable")[i % 3],
            "customer": f"customer-{i % 12}",
            "created": f"2026-02-{1 + i % 28:02}" if i < 40 else f"2026-03-{1 + i % 28:02}",
        }
        for i in range(60)
    ]
    questions = [{"id": f"q{i}", "question": f"Where is parcel {i}?"} for i in range(4)]
    for name, lines in (("holdout", rows), ("tickets", rows), ("questions", questions)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ground.write_gate(GATE)
    key = Ed25519PrivateKey.generate()
    (folder / "asking-people.yaml").write_text(ASKING_PEOPLE)
    (folder / "signing.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "signer.pem").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (folder / "stricter.yaml").write_text(GATE + "  - {metric: classification.accuracy, min: 0.55}\n")
    return ground


def _register(ground: Ground) -> None:
    client = _client(ground)
    artifacts = ground.folder / "artifacts"
    experiment = client.create_experiment("training", artifact_location=str(artifacts))
    client.create_experiment(f"finetune-gate/{MODEL}", artifact_location=str(artifacts / "gate"))
    for name, seed, versions in ((BASE, 0, 1), (MODEL, 1, VERSIONS), (DEMO, 1, 1)):
        files = write_tiny_llama(ground.folder / "made" / name, seed)
        run = client.create_run(experiment)
        client.log_artifacts(run.info.run_id, str(files), "model")
        client.create_registered_model(name)
        tags = {} if name == BASE else {"base_model": f"models:/{BASE}/1"}
        for _ in range(versions):
            client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id, tags=tags)


def _client(ground: Ground) -> Any:
    from mlflow import MlflowClient

    uri = ground.environment["MLFLOW_TRACKING_URI"]
    return MlflowClient(uri, uri)


def keep_a_run(folder: Path, *names: str, key: bool = False) -> None:
    """A finished run of version 7, under each of the names that a page gives it."""
    with pytest.MonkeyPatch.context() as patched:
        if key:
            patched.setenv("FINETUNE_GATE_SIGNING_KEY", str(folder / "signing.pem"))
        done = finetune_gate("run", "gate.yaml", "--version", "7", "-q", "--out", str(folder / "kept"))
    assert done.status in (0, 1, 3), done.output
    made = next((folder / "kept").glob("*/decision-record.json")).parent
    for name in names:
        shutil.copytree(made, folder / name)


def copy_ground(original: Ground, folder: Path) -> Ground:
    """A copy to work in."""
    copy_registry(original.folder, folder)
    return Ground(folder)
