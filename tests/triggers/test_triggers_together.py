"""Webhook, watcher and command line at once, on a real MLflow server: one evaluation, one decision, one move.

The server's database is the workshop's, so that its models are registered already; webhooks come from the server.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from mlflow_serving import free_port, mlflow_server
from workshop import MODEL, Workshop, copy_workshop

from finetune_gate.gate.registry import Ledger, Registry
from finetune_gate.gate.turns import Log, Turns

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("triggers")]

SECRET = "a-secret-of-the-tests-and-of-nobody-else"
PASSES = "{metric: perplexity.bits_per_byte, max: 40}"
SETTINGS = {
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(),
}


@dataclass(frozen=True, slots=True)
class Running:
    """A command in the background, and where it writes."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def until(self, ready: Callable[[], Any], what: str, seconds: float = 240) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if found := ready():
                return found
            time.sleep(0.3)
        raise AssertionError(f"waited in vain for {what}\n{self.said()}")


@dataclass(frozen=True, slots=True)
class Shop:
    """A workshop whose registry is behind a server at ``address``."""

    workshop: Workshop
    address: str

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.address, self.address)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "MLFLOW_TRACKING_URI": self.address,
            "FINETUNE_GATE_HOME": str(self.workshop.folder / "home"),
            "FINETUNE_GATE_WEBHOOK_SECRET": SECRET,
        }

    def command(self, *arguments: str, timeout: float = 400) -> subprocess.CompletedProcess[str]:
        return self.workshop.command(*arguments, env=self.settings, timeout=timeout)

    @contextmanager
    def running(self, *arguments: str) -> Generator[Running]:
        """The command in the background."""
        log = self.workshop.folder / f"{arguments[0]}-{uuid.uuid4().hex[:6]}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", "finetune_gate.flows.cli", *arguments], cwd=self.workshop.folder,
                env={**os.environ, **self.settings}, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        try:
            running = Running(process, log)
            yield running
            assert process.poll() is None, running.said()
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(20)

    def register(self, like: str) -> str:
        """A new version with the files of version ``like``, and tags of its own; its number."""
        made = self.client.get_model_version(MODEL, like)
        again = self.client.create_model_version(MODEL, made.source, made.run_id, tags=dict(BASE_OF), description="new")
        return str(again.version)

    def log(self) -> Log:
        return Turns(Registry.connect(self.address), MODEL).read()

    def gates(self) -> list[Any]:
        """Every gate run that came to a decision."""
        experiment = self.client.get_experiment_by_name(f"finetune-gate/{MODEL}")
        return list(self.client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'"))

    def moves(self) -> list[tuple[str | None, str | None]]:
        replayed = Ledger(Registry.connect(self.address), MODEL).read()
        return [(row.entry.before, row.entry.after) for row in replayed.moves("champion") if row.entry]

    def alias(self) -> str | None:
        found = self.client.get_registered_model(MODEL).aliases.get("champion")
        return None if found is None else str(found)


BASE_OF = {"base_model": "models:/tiny-base/1"}


@pytest.fixture(scope="module")
def shop(original: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Generator[Shop]:
    workshop = copy_workshop(original, tmp_path_factory.mktemp("triggers") / "workshop")
    root = tmp_path_factory.mktemp("server")
    with mlflow_server(root, workshop.uri, environment=SETTINGS) as address:
        yield Shop(workshop, address)


def deliver(port: int, body: dict[str, Any]) -> int:
    """As MLflow does, with an id of its own."""
    raw, key, at = json.dumps(body).encode(), str(uuid.uuid4()), str(int(time.time()))
    signed = hmac.new(SECRET.encode(), f"{key}.{at}.".encode() + raw, hashlib.sha256).digest()
    headers = {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": key,
        "X-MLflow-Timestamp": at,
        "X-MLflow-Signature": f"v1,{base64.b64encode(signed).decode()}",
    }
    request = urllib.request.Request(receiver_address(port), raw, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(answer.status)


def receiver_address(port: int) -> str:
    return f"http://127.0.0.1:{port}/mlflow"


def test_fifty_deliveries_of_one_event_are_one_gate(shop: Shop) -> None:
    """41 signed deliveries beside MLflow's own, 4 sweeps and 5 commands: one decision.
    What the gate itself writes (tags, alias) comes back as webhooks, and starts nothing."""
    gate = str(shop.workshop.gate(PASSES, classify=False))
    port = free_port()
    with shop.running("serve", gate, "--port", str(port), "--sweep-every", "15") as receiver:
        receiver.until(lambda: "Webhooks" in receiver.said(), "the receiver")
        installed = shop.command("webhooks", "install", receiver_address(port))
        assert installed.returncode == 0, installed.stdout + installed.stderr
        receiver.until(lambda: shop.log().watched_from == 2, "the first look")
        version = shop.register("2")
        event = {
            "entity": "model_version",
            "action": "created",
            "timestamp": "2026-01-01T00:00:00Z",
            "data": {"name": MODEL, "version": version, "source": "", "run_id": None, "tags": {}, "description": None},
        }
        with ThreadPoolExecutor(50) as pool:
            answers = [pool.submit(deliver, port, event) for _ in range(41)]
            sweeps = [pool.submit(shop.command, "watch", gate, "--once") for _ in range(4)]
            once = ["run", gate, "--version", version, "--once", "--json"]
            runs = [pool.submit(shop.command, *once) for _ in range(5)]
            assert {answer.result() for answer in answers} == {202}
            assert {sweep.result().returncode for sweep in sweeps} == {0}
            ran = [run.result() for run in runs]
        assert {one.returncode for one in ran} == {0}, [one.stderr for one in ran]
        said = [json.loads(one.stdout) for one in ran]
        assert len({(one["record_digest"], one["decided_by"], one["mlflow"]) for one in said}) == 1
        assert sum(one["evaluated"] for one in said) <= 1
        time.sleep(20)  # the gate's own tags and alias come back, and a sweep looks once more
    assert len(shop.gates()) == 1
    assert [row.turn.kind for row in shop.log().rows if row.number in shop.log().counting].count("run") == 1
    assert shop.moves() == [(None, version)]
    assert shop.alias() == version


def test_a_stage_transition_leads_to_a_gate_and_to_production(shop: Shop) -> None:
    """MLflow sends no webhook for stages: the watcher sees it."""
    gate = shop.workshop.gate(
        PASSES, classify=False, name="stages.yaml",
        extra="promotion: {alias: live, stage: Production}\nchampion: null\ntriggers: {new_versions: false}",
    )  # fmt: skip
    with shop.running("watch", str(gate), "--every", "2") as watcher:
        time.sleep(5)
        assert "version 1" not in watcher.said()
        stage(shop, "1", "Staging")
        watcher.until(lambda: stage_of(shop, "1") == "Production", "version 1 in Production")
        watcher.until(lambda: shop.client.get_registered_model(MODEL).aliases.get("live") == "1", "the alias")
        watcher.until(lambda: tag_of(shop, "1", "finetune_gate.decision") == "promote", "what was decided")
        # the next one takes its place, and the old one is archived
        stage(shop, "2", "Staging")
        watcher.until(lambda: stage_of(shop, "2") == "Production", "version 2 in Production")
        assert stage_of(shop, "1") == "Archived"


def stage(shop: Shop, version: str, name: str) -> None:
    with pytest.warns(FutureWarning):
        shop.client.transition_model_version_stage(MODEL, version, name)


def tag_of(shop: Shop, version: str, key: str) -> str | None:
    found = shop.client.get_model_version(MODEL, version).tags.get(key)
    return None if found is None else str(found)


def stage_of(shop: Shop, version: str) -> str:
    return str(shop.client.get_model_version(MODEL, version).current_stage)
