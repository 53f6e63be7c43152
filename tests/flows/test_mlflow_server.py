"""The whole way on a real MLflow server: models registered over HTTP, artifacts through its proxy, a PEFT adapter."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from little_llama import write_tiny_llama
from workshop import BASE, MODEL, PASSES, Workshop

pytestmark = [pytest.mark.xdist_group("mlflow_server"), pytest.mark.slow]


@pytest.fixture(scope="module")
def address(original: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    root = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{root}/mlflow.db", "--artifacts-destination", str(root / "files")]
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (root / "log").open("wb") as log:
        server = subprocess.Popen(command, env=env, cwd=root, stdout=log, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < until, (root / "log").read_text()
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(20)


def write_adapter(base: Path, folder: Path) -> Path:
    """A LoRA whose weights are not zero, so that it answers differently from its base."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(7)
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    adapted: Any = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    adapted.peft_config["default"].base_model_name_or_path = f"models:/{BASE}/1"
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    return folder


def test_an_adapter_is_gated_over_http(original: Workshop, address: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(address, address)
    base = write_tiny_llama(tmp_path / "base", 0)
    adapter = write_adapter(base, tmp_path / "adapter")
    experiment = client.create_experiment("training")
    for name, files in ((BASE, base), (MODEL, adapter)):
        client.create_registered_model(name)
        run = client.create_run(experiment)
        client.log_artifacts(run.info.run_id, str(files), "model")
        client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)

    workshop = Workshop(tmp_path / "desk")
    workshop.folder.mkdir()
    shutil.copy(original.folder / "holdout.jsonl", workshop.folder)
    gate = workshop.gate(PASSES, "{metric: perplexity.bits_per_byte, min_change: -20, against: base}")
    done = workshop.command("run", gate, "--json", env={"MLFLOW_TRACKING_URI": address})
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["decision"] == "promote"
    assert result["base"] == f"{BASE} v1"
    assert result["mlflow_url"].startswith(address)
    assert client.get_model_version_by_alias(MODEL, "champion").version == "1"
    tags = client.get_model_version(MODEL, "1").tags
    assert tags["finetune_gate.decision"] == "promote"
    run_id = tags["finetune_gate.record"].split("/")[1]
    names = {item.path for item in client.list_artifacts(run_id, "finetune_gate")}
    assert "finetune_gate/decision-record.json" in names
    record = json.loads((workshop.folder / result["record"]).read_text())
    facts = {model["role"]: model["facts"]["kind"] for model in record["models"]}
    assert facts["candidate"] == "adapter on shared base"
    assert not list((workshop.folder / "home").glob("models-*"))
