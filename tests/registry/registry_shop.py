"""A shop of tiny models: registers them as training scripts do, in a registry of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from finetune_gate.gate.registry import Registry

MODEL = "support-bot"
Layout = Literal["run", "logged_model"]


@dataclass
class Shop:
    """Registers tiny models, as training scripts do."""

    uri: str
    root: Path
    client: Any
    registry: Registry
    downloads: Path
    experiment: str = "training"
    _experiment: list[str] = field(default_factory=list)
    _models: set[str] = field(default_factory=set)

    def folder(self, seed: int, *, base_claim: str | None = None, adapter: bool = False) -> Path:
        """A model of random bytes; the same seed makes the same model."""
        folder = self.root / "made" / f"{seed}{'-adapter' if adapter else ''}-{len(list(self.root.glob('made/*')))}"
        folder.mkdir(parents=True)
        tensor = hashlib.sha256(str(seed).encode()).digest()
        header = json.dumps({"w": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}}).encode()
        weights = len(header).to_bytes(8, "little") + header + tensor
        if adapter:
            config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base_claim}
            (folder / "adapter_config.json").write_text(json.dumps(config))
            (folder / "adapter_model.safetensors").write_bytes(weights)
        else:
            config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
            if base_claim:
                config["_name_or_path"] = base_claim
            (folder / "config.json").write_text(json.dumps(config))
            (folder / "model.safetensors").write_bytes(weights)
            (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {}}')
        return folder

    def register(
        self,
        folder: Path,
        name: str = MODEL,
        *,
        via: Layout = "run",
        tags: Mapping[str, str] | None = None,
        run_tags: Mapping[str, str] | None = None,
        run_params: Mapping[str, str] | None = None,
        logged_params: Mapping[str, str] | None = None,
    ) -> str:
        """The new version's number."""
        from mlflow.exceptions import MlflowException

        if not self._experiment:
            self._experiment.append(self.client.create_experiment(self.experiment, **self._artifact_location()))
        if name not in self._models:
            with contextlib.suppress(MlflowException):  # it is there already
                self.client.create_registered_model(name)
            self._models.add(name)
        run = self.client.create_run(self._experiment[0], tags=dict(run_tags or {}))
        run_id = run.info.run_id
        for key, value in (run_params or {}).items():
            self.client.log_param(run_id, key, value)
        if via == "run":
            self.client.log_artifacts(run_id, str(folder), "model")
            source, model_id = f"{run.info.artifact_uri}/model", None
        else:
            logged = self.client.create_logged_model(
                self._experiment[0], name="model", source_run_id=run_id, params=dict(logged_params or {})
            )
            self.client.log_model_artifacts(logged.model_id, str(folder))
            self.client.finalize_logged_model(logged.model_id, "READY")
            source, model_id = f"models:/{logged.model_id}", logged.model_id
        made = self.client.create_model_version(
            name, source, run_id, tags=dict(tags or {}), model_id=model_id, await_creation_for=0
        )
        return str(made.version)

    @property
    def database(self) -> Path:
        return Path(self.uri.removeprefix("sqlite:///"))

    def use(self, experiment: str) -> None:
        """Go on in an experiment, and with models, that are there."""
        self._experiment.append(experiment)

    def alias(self, alias: str, version: str, name: str = MODEL) -> None:
        self.client.set_registered_model_alias(name, alias, version)

    def tags(self, version: str, name: str = MODEL) -> dict[str, str]:
        return dict(self.client.get_model_version(name, version).tags)

    def _artifact_location(self) -> dict[str, str]:
        return {} if self.uri.startswith("http") else {"artifact_location": str(self.root / "store")}


def open_shop(uri: str, tmp_path: Path, experiment: str = "training") -> Shop:
    from mlflow import MlflowClient

    # MLflow looks up a logged model at the process's own address, whatever the client was given
    os.environ["MLFLOW_TRACKING_URI"] = uri
    registry = Registry.connect(uri)
    return Shop(uri, tmp_path, MlflowClient(uri, uri), registry, tmp_path / "downloads", experiment)


def fill(database: Path, source: Path) -> None:
    """Make ``database`` what ``source`` is, also for those who have it open."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(database)) as write:
        read.backup(write)
