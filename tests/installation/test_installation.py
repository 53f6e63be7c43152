"""All that compose.yaml declares, started from this machine's packages: from a registry event to the moved alias, with
nobody doing anything.

Minutes: it trains the demo's models, and gates four versions. `make installation-test`, or FINETUNE_GATE_LONG_TESTS=1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
from installation_aid import DOCKER, installation, local_postgres

from finetune_gate.flows.demo.registering import MODEL
from finetune_gate.flows.prefect_asking import ask_prefect
from finetune_gate.flows.prefect_credentials import prefect_credentials
from finetune_gate.gate.doctor import Reply, ask
from finetune_gate.gate.registry import Ledger, Registry
from finetune_gate.gate.registry.webhooks import CACHED_SECONDS
from finetune_gate.gate.turns import Turns

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.xdist_group("installation"),
    pytest.mark.skipif(
        not {"FINETUNE_GATE_LONG_TESTS", "FINETUNE_GATE_INSTALLATION_TESTS"} & set(os.environ),
        reason="takes minutes: make installation-test",
    ),
]


class House:
    """The installation, and what people see of it through its published ports."""

    def __init__(self, here: installation.Installation) -> None:
        self.here = here
        self.began = time.monotonic()

    @property
    def mlflow(self) -> str:
        return f"http://{self.here.address('mlflow')}"

    @property
    def prefect(self) -> str:
        return f"http://{self.here.address('prefect')}/api"

    @property
    def credentials(self) -> dict[str, str]:
        return prefect_credentials({"PREFECT_API_AUTH_STRING": self.here.secret("prefect_auth")})

    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.mlflow, self.mlflow)

    def alias(self) -> str | None:
        return self.client().get_registered_model(MODEL).aliases.get("champion")

    def decided(self) -> dict[str, str]:
        """Decisions by version, from the tags."""
        found = self.client().search_model_versions(f"name = '{MODEL}'")
        return {one.version: one.tags.get("finetune_gate.decision", "") for one in found}

    def moves(self) -> list[tuple[str | None, str | None]]:
        replayed = Ledger(Registry.connect(self.mlflow), MODEL).read()
        return [(row.entry.before, row.entry.after) for row in replayed.moves("champion") if row.entry]

    def gates(self) -> list[str]:
        """Versions of all gates that came to a decision: one for each gate."""
        experiment = self.client().get_experiment_by_name(f"finetune-gate/{MODEL}")
        runs = self.client().search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'")
        return sorted(run.data.tags["finetune_gate.version"] for run in runs)

    def asked(self, within_s: float = 300.0) -> dict[str, str]:
        """What made Prefect's flow runs, by version, once all have ended: tags are written before a run is done."""
        until = time.monotonic() + within_s
        while {run["state_type"] for run in self._runs()} != {"COMPLETED"}:
            assert time.monotonic() < until, self.here.log("worker")[-6000:]
            time.sleep(2)
        runs = self._runs()
        assert len({run["parameters"]["version"] for run in runs}) == len(runs), "a version was started twice"
        return {run["parameters"]["version"]: run["parameters"]["trigger"] for run in runs}

    def _runs(self) -> list[Any]:
        reply = ask_prefect(self.prefect, "/flow_runs/filter", 30, headers=self.credentials, body={"limit": 200})
        assert isinstance(reply, Reply)
        runs: Any = reply.json()
        return list(runs)

    def demo(self) -> None:
        status = self.here.run("demo")
        assert status == 0, self.here.log("demo") + self.here.log("worker")[-6000:]

    def register(self, factor: float) -> str:
        """A new version, as a training job registers it: the good LoRA of the demo, with ``factor`` in its weights. Its
        number."""
        import mlflow
        from safetensors.torch import load_file, save_file

        good = self.here.folder / "volumes" / "demo" / "demo" / "seed-0" / "good"
        files = self.here.folder / f"good-{factor}"
        shutil.copytree(good, files)
        weights = {name: one * factor for name, one in load_file(files / "adapter_model.safetensors").items()}
        save_file(weights, files / "adapter_model.safetensors", {"format": "pt"})
        mlflow.set_tracking_uri(self.mlflow)  # a logged model is looked up there, whatever the client was given
        client = self.client()
        logged = client.create_logged_model(client.get_experiment_by_name("helpdesk-training").experiment_id)
        client.log_model_artifacts(logged.model_id, str(files))
        client.finalize_logged_model(logged.model_id, "READY")
        made = client.create_model_version(MODEL, f"models:/{logged.model_id}", model_id=logged.model_id)
        return str(made.version)

    def until_decided(self, version: str, within_s: float = 600.0) -> None:
        until = time.monotonic() + within_s
        while not self.decided()[version]:
            assert time.monotonic() < until, self.here.log("watcher") + self.here.log("worker")[-6000:]
            time.sleep(2)


@pytest.fixture(scope="module")
def folder() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="installation-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o711)  # run by root, PostgreSQL works as another user, who must find its way in
        yield Path(made)


@pytest.fixture(scope="module")
def house(folder: Path) -> Generator[House]:
    assert find_spec("psycopg2") is not None, "MLflow needs psycopg2-binary for PostgreSQL"
    with installation.installation(folder / "kept") as here:
        yield House(here)


def status_of(address: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_it_is_up_and_lets_in_whom_it_should(house: House) -> None:
    here = house.here
    assert set(here.processes) == {"postgres", "mlflow", "prefect", "worker", "receiver", "watcher"}
    assert all(here.healthy(name) for name in here.processes)
    assert (status_of(f"{house.mlflow}/health"), status_of(f"{house.mlflow}/")) == (200, 200)
    assert status_of(f"{house.mlflow}/", Host="elsewhere.example") == 403
    assert status_of(f"{house.prefect}/admin/version") == 401
    assert status_of(f"{house.prefect}/admin/version", **house.credentials) == 200
    bare = ask(f"{house.prefect}/flow_runs/filter", 30, headers=house.credentials, body={})
    assert isinstance(bare, Reply)
    assert (bare.status, bare.json()) == (403, {"detail": "Missing CSRF token."})


def test_mlflow_and_prefect_cannot_read_each_others_tables(house: House) -> None:
    port = house.here.address("postgres").partition(":")[2]

    def connected(role: str, database: str, password: str) -> str:
        command = [
            local_postgres.program("psql"),
            "-h",
            "127.0.0.1",
            "-p",
            port,
            "-U",
            role,
            database,
            "-tAc",
            "select 1",
        ]
        done = subprocess.run(
            command, env={"PGPASSWORD": password}, capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout.strip() or done.stderr

    for role, other in (("mlflow", "prefect"), ("prefect", "mlflow")):
        password = house.here.secret(f"{role}_database_password")
        assert connected(role, role, password) == "1"
        assert "permission denied" in connected(role, other, password)
        assert "password authentication failed" in connected(role, role, "wrong")


def test_an_event_of_the_registry_moves_the_alias(house: House) -> None:
    """By webhook, receiver, Prefect and worker; nobody else looks."""
    house.here.stop("watcher")
    # MLflow may keep its list of webhooks from before there was one
    time.sleep(max(0.0, CACHED_SECONDS + 5 - (time.monotonic() - house.began)))
    house.demo()
    assert house.decided() == {"1": "promote", "2": "block"}
    assert house.alias() == "1"
    assert house.moves() == [(None, "1")]
    assert house.gates() == ["1", "2"]
    assert house.asked() == {"1": "webhook: new version", "2": "webhook: new version"}


def test_what_the_receiver_missed_the_watcher_finds(house: House) -> None:
    house.here.stop("receiver")
    house.here.start("watcher")
    version = house.register(1.0001)
    house.until_decided(version)
    assert (version, house.decided()[version], house.alias()) == ("3", "promote", "3")
    assert house.moves() == [(None, "1"), ("1", "3")]
    assert house.asked()[version] == "watch: new version"
    house.here.start("receiver")


def test_with_both_there_is_one_gate(house: House) -> None:
    version = house.register(1.0002)
    house.until_decided(version)
    time.sleep(70)  # the watcher looks once more, and what the gate wrote has come back as webhooks
    assert house.decided() == {"1": "promote", "2": "block", "3": "promote", "4": "promote"}
    assert house.alias() == "4"
    assert house.moves() == [(None, "1"), ("1", "3"), ("3", "4")]
    assert house.gates() == ["1", "2", "3", "4"]
    assert set(house.asked()) == {"1", "2", "3", "4"}
    log = Turns(Registry.connect(house.mlflow), MODEL).read()
    ran = [row.turn.version for row in log.rows if row.number in log.counting and row.turn.kind == "run"]
    assert sorted(ran) == ["1", "2", "3", "4"]


def test_no_secret_is_in_a_log(house: House) -> None:
    names = [path.name for path in (house.here.folder / "secrets").iterdir() if "object_store" not in path.name]
    secrets = [house.here.secret(name).rpartition(":")[2] for name in names]
    for log in (house.here.folder / "logs").iterdir():
        said = log.read_text(errors="replace")
        assert not [one for one in secrets if one in said], log.name
        # MLflow says at length that it could not deliver to the receiver that was stopped
        assert "Traceback" not in said or log.name == "mlflow.log", log.name


def test_interrupted_while_it_starts_it_leaves_nothing_running(folder: Path) -> None:
    """As the command, which a person stops before it is up."""
    folder = folder / "interrupted"
    command = [sys.executable, DOCKER / "without_an_engine" / "installation.py", folder]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + 120
    while not (folder / "logs" / "prefect.log").exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)
    process.terminate()
    time.sleep(0.5)
    process.terminate()
    assert process.communicate(timeout=120)[0] == "stopped\n"
    assert process.returncode == 0
    assert not [one for one in psutil.process_iter() if str(folder) in " ".join(words(one))]


def words(process: psutil.Process) -> list[str]:
    """Of its command and its environment."""
    try:
        return [*process.cmdline(), *process.environ().values()]
    except psutil.Error:
        return []


def test_stopped_and_started_again_it_knows_what_it_knew(house: House) -> None:
    """The last: it ends the installation of the others."""
    for name in reversed(list(house.here.processes)):
        house.here.stop(name)
    with installation.installation(house.here.folder) as again:
        back = House(again)
        assert back.alias() == "4"
        assert len(back.asked()) == 4
        # the same key: MLflow can still read the webhook of before, and the event comes through
        assert again.log("webhook").count("the event came through, and was answered 202") == 2
        assert "changed: finetune-gate" in again.log("webhook")
