"""A registry with a base and candidates made of tiny random models, a dataset and gate files to gate them with."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from little_llama import CORPUS, write_tiny_llama

MODEL, BASE = "tiny-router", "tiny-base"
LABELS = ("billing", "parcel")

PASSES = "{metric: perplexity.bits_per_byte, max: 40}"
FAILS = "{metric: classification.accuracy, min: 0.999}"
OPEN = "{metric: classification.accuracy, min: 0.5}"


@dataclass(frozen=True, slots=True)
class Workshop:
    """``folder`` holds everything; versions 1 and 2 of ``tiny-router`` are fine-tunes of ``tiny-base`` version 1."""

    folder: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.uri, self.uri)

    def gate(self, *rules: str, name: str = "gate.yaml", extra: str = "", classify: bool = True) -> Path:
        classification = f"  - classification: {{data: holdout, labels: [{', '.join(LABELS)}]}}"
        lines = [
            f"model: {MODEL}",
            "data: {holdout: holdout.jsonl}",
            "evaluators:",
            *([classification] if classify else []),
            "  - perplexity: {data: holdout}",
            "rules:",
            *(f"  - {rule}" for rule in rules),
            extra,
        ]
        path = self.folder / name
        path.write_text("\n".join(lines) + "\n")
        return path

    def command(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None, timeout: float = 180
    ) -> subprocess.CompletedProcess[str]:
        """The real command, in a process of its own."""
        settings = {
            **os.environ,
            "MLFLOW_TRACKING_URI": self.uri,
            "FINETUNE_GATE_HOME": str(self.folder / "home"),
            **(env or {}),
        }
        return subprocess.run(
            [sys.executable, "-m", "finetune_gate.flows.cli", *map(str, arguments)],
            cwd=self.folder,
            env=settings,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def champion(self) -> str | None:
        aliases: Mapping[str, str] = self.client().get_registered_model(MODEL).aliases
        found = aliases.get("champion")
        return None if found is None else str(found)

    def tags(self, version: str) -> dict[str, str]:
        return dict(self.client().get_model_version(MODEL, version).tags)


def open_workshop(folder: Path) -> Workshop:
    """Make models, register them, write the dataset. Takes some seconds: copy the folder for each test."""
    workshop = Workshop(folder)
    client = workshop.client()
    artifacts = folder / "artifacts"
    experiment = client.create_experiment("training", artifact_location=str(artifacts))
    client.create_experiment(f"finetune-gate/{MODEL}", artifact_location=str(artifacts / "gate"))
    for name in (BASE, MODEL):
        client.create_registered_model(name)
    for name, seed, tags in ((BASE, 0, {}), (MODEL, 1, {"base_model": f"models:/{BASE}/1"}),
                             (MODEL, 2, {"base_model": f"models:/{BASE}/1"})):  # fmt: skip
        files = write_tiny_llama(folder / "made" / str(seed), seed)
        run = client.create_run(experiment)
        client.log_artifacts(run.info.run_id, str(files), "model")
        client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id, tags=tags)
    rows = [
        {"id": f"ticket-{i:03}", "text": f"{CORPUS[i % 3]} {i}", "label": LABELS[i % 2], "category": "ab"[i % 2]}
        for i in range(60)
    ]
    (folder / "holdout.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return workshop


def copy_workshop(original: Workshop, folder: Path) -> Workshop:
    """A copy to change."""
    copy_registry(original.folder, folder)
    return Workshop(folder)


def copy_registry(original: Path, folder: Path) -> None:
    """A folder with a registry in it; addresses in the database are moved along with the files."""
    shutil.copytree(original, folder)
    connection = sqlite3.connect(folder / "mlflow.db")
    for table, column in (
        ("experiments", "artifact_location"),
        ("runs", "artifact_uri"),
        ("model_versions", "source"),
        ("model_versions", "storage_location"),
    ):
        connection.execute(f"update {table} set {column} = replace({column}, ?, ?)", (str(original), str(folder)))
    connection.commit()
    connection.close()
