"""compose.yaml: what every service of it must have, and that every word of it is known to the program it is for."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from cryptography.fernet import Fernet
from installation_aid import DOCKER, compose_services, installation, local_places

from finetune_gate.flows.cli.demo import demo_gate_text
from finetune_gate.flows.cli.program import program
from finetune_gate.flows.demo import Recipe, make_demo_data
from finetune_gate.flows.demo.tickets import write_jsonl
from finetune_gate.flows.receiver import webhook_secrets
from finetune_gate.gate.gate_file import load_gate_file

COMPOSE = DOCKER / "compose.yaml"
FILE: dict[str, Any] = compose_services.read_compose(COMPOSE, {})
SERVICES = compose_services.read_services(COMPOSE, {})
NAMES = sorted(FILE["services"])


def said(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_it_is_a_compose_file() -> None:
    done = said("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE))
    assert done.returncode == 0, done.stdout


def test_the_scripts_beside_it_are_sound() -> None:
    done = said("shellcheck", *(str(DOCKER / name) for name in ("make_secrets.sh", "start_databases.sh")))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_every_service_is_hardened_and_bounded(name: str) -> None:
    one = FILE["services"][name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert "cap_add" not in one
    assert "no-new-privileges:true" in one["security_opt"]
    user, _, group = one["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert {"mem_limit", "cpus", "pids_limit", "restart", "logging"} <= set(one)
    assert not {"privileged", "network_mode", "pid", "ipc", "devices", "container_name"} & set(one)
    if SERVICES[name].ends:
        assert one["healthcheck"] == {"disable": True}
        assert one["restart"] in ("no", "on-failure:5")
    else:
        assert one["restart"] == "unless-stopped"
        assert one["healthcheck"]["test"][0] == "CMD"
        assert {"interval", "timeout", "retries", "start_period"} <= set(one["healthcheck"])


@pytest.mark.parametrize("name", NAMES)
def test_every_image_is_built_here_or_pinned(name: str) -> None:
    one = FILE["services"][name]
    if SERVICES[name].ours:
        assert one["build"] == {"context": "..", "dockerfile": "docker/Dockerfile"}
        assert one["image"] == "finetune-gate:latest"
    else:
        assert re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", one["image"])


def test_ports_are_published_at_this_machine_alone() -> None:
    published = {name: one["ports"] for name, one in FILE["services"].items() if "ports" in one}
    assert published == {"mlflow": ["127.0.0.1:5000:5000"], "prefect": ["127.0.0.1:4200:4200"]}


def test_nothing_that_is_secret_is_in_the_file() -> None:
    secret = re.compile(r"PASSWORD|SECRET|TOKEN|AUTH|CREDENTIAL|(?:^|_)KEY(?:_|$)")
    for name, service in SERVICES.items():
        for key, value in service.environment.items():
            if secret.search(key):
                assert value.startswith("/run/secrets/"), f"{name}: {key}"
                assert value in service.mounts, f"{name}: {key}"
        for text in (*service.command, *service.environment.values()):
            assert not re.search(r"://[^/@]*:[^/@]*@", text), f"{name}: {text}"


def test_every_service_gets_the_secrets_that_it_reads_and_no_other() -> None:
    scripts = {"postgres": (DOCKER / "start_databases.sh").read_text()}
    for name, service in SERVICES.items():
        read = " ".join([*service.command, *service.environment.values(), scripts.get(name, "")])
        for path in service.mounts:
            if path.startswith("/run/secrets/"):
                assert path in read or re.sub("mlflow|prefect", "${name}", path) in read, f"{name}: {path}"


def test_models_and_their_servers_reach_nothing_that_keeps_data() -> None:
    networks = {name: set(one["networks"]) for name, one in FILE["services"].items()}
    assert networks["vllm"] == {"inference"}
    assert [name for name in NAMES if "inference" in networks[name]] == ["vllm", "worker"]
    assert {name for name in NAMES if "storage" in networks[name]} == {
        "bucket", "mlflow", "object-store", "postgres", "prefect",
    }  # fmt: skip
    assert {name for name in NAMES if "outside" in networks[name]} == {"mlflow", "prefect"}
    assert {name for name, one in FILE["networks"].items() if one.get("internal")} == {
        "inference", "registry", "storage",
    }  # fmt: skip


def test_who_needs_another_waits_until_it_is_ready() -> None:
    for name, service in SERVICES.items():
        for other, condition in service.needs.items():
            ends = SERVICES[other].ends
            assert condition == ("service_completed_successfully" if ends else "service_healthy"), f"{name}: {other}"
    order = installation.in_order(SERVICES)
    assert order.index("postgres") < order.index("mlflow") < order.index("receiver") < order.index("webhook")
    circular = replace(SERVICES["postgres"], needs={"prefect": "service_healthy"})
    with pytest.raises(ValueError, match="postgres, prefect wait for one another"):
        installation.in_order({"postgres": circular, "prefect": SERVICES["prefect"]})


@pytest.mark.parametrize("name", [name for name in NAMES if SERVICES[name].ours])
def test_every_command_of_ours_is_understood(name: str) -> None:
    first, *rest = SERVICES[name].command
    match first:
        case "mlflow":
            from mlflow.cli import cli as mlflow

            understood(mlflow, rest)
        case "prefect":
            from prefect.cli._app import _app as prefect

            prefect.parse_args(rest, print_error=False, exit_on_error=False)
        case "python":
            assert (DOCKER / Path(SERVICES[name].mounts[rest[0]]).name).is_file()
        case _:
            understood(program, [first, *rest])


def understood(command: click.Command, arguments: list[str]) -> None:
    """By the command's own parser. Nothing is run."""
    quiet = io.StringIO()
    with redirect_stdout(quiet), redirect_stderr(quiet), click.Context(command) as context:
        while isinstance(command, click.Group):
            found = command.get_command(context, arguments[0])
            assert found is not None, arguments[0]
            command, arguments = found, arguments[1:]
        command.make_context(command.name, arguments, parent=context)


def test_its_settings_are_those_of_the_example() -> None:
    text = COMPOSE.read_text()
    used = set(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    example = (DOCKER / "compose.env.example").read_text()
    assert used == set(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE))
    assert not re.search(r"\$\{\w+\}", text)


def test_the_gate_that_it_ships_is_the_demos(tmp_path: Path) -> None:
    assert (DOCKER / "gates" / "gate.yaml").read_text() == demo_gate_text()
    recipe = Recipe()
    data = make_demo_data(
        0, train=recipe.train, few=recipe.few, holdout=recipe.holdout, prose=recipe.prose, corpus=recipe.corpus
    )
    for name, rows in (("holdout", data.holdout), ("prose", data.prose)):
        write_jsonl([row.row() for row in rows], tmp_path / f"{name}.jsonl")
        assert (DOCKER / "gates" / "data" / f"{name}.jsonl").read_bytes() == (tmp_path / f"{name}.jsonl").read_bytes()
    assert load_gate_file(DOCKER / "gates" / "gate.yaml").file.model == "helpdesk-router"


def test_secrets_are_made_once_and_for_their_owner(tmp_path: Path) -> None:
    folder = tmp_path / "kept here" / "secrets"

    def make() -> dict[str, str]:
        subprocess.run([DOCKER / "make_secrets.sh", folder], capture_output=True, timeout=60, check=True)
        return {one.name: one.read_text() for one in folder.iterdir()}

    made = make()
    assert make() == made
    assert set(made) == set(FILE["secrets"])
    assert {one.stat().st_mode & 0o777 for one in folder.iterdir()} == {0o444}
    assert folder.stat().st_mode & 0o777 == 0o700
    Fernet(made["webhook_encryption_key"].strip())
    assert len(webhook_secrets({"FINETUNE_GATE_WEBHOOK_SECRET": made["webhook_secret"]})) == 1
    assert made["prefect_auth"].startswith("gate:")
    assert len({text.strip()[-30:] for text in made.values()}) == len(made)
    assert (DOCKER / ".gitignore").read_text().split() == ["secrets/", ".env"]


def test_what_is_said_inside_is_said_for_one_machine(tmp_path: Path) -> None:
    ports = {("mlflow", 5000): 7001, ("receiver", 8300): 7002, ("worker", 8080): 7003, ("postgres", 5432): 7004}
    places = local_places.Places(tmp_path, DOCKER, ports, tmp_path / "artifacts")
    mlflow, worker, webhook = SERVICES["mlflow"], SERVICES["worker"], SERVICES["webhook"]
    assert places.said(mlflow, mlflow.command)[2:] == [
        "--host=127.0.0.1",
        "--port=7001",
        "--workers=1",
        "--backend-store-uri=postgresql+psycopg2://mlflow@127.0.0.1:7004/mlflow",
        "--serve-artifacts",
        f"--artifacts-destination={tmp_path}/artifacts",
        "--allowed-hosts=127.0.0.1:7001,127.0.0.1:7001,127.0.0.1:7001",
        "--cors-allowed-origins=http://127.0.0.1:7001",
    ]
    assert places.said(webhook, webhook.command)[-1] == "http://127.0.0.1:7002/mlflow"
    assert places.said(worker, ["8080", "5000", "http://mlflow:5000", "127.0.0.1:5000"]) == [
        "7003", "5000", "http://127.0.0.1:7001", "127.0.0.1:5000",
    ]  # fmt: skip
    assert places.said(worker, ["/srv/gates/gate.yaml", "/var/lib/finetune-gate/home", "/usr/tmp", 'a("/tmp/x")']) == [
        f"{DOCKER}/gates/gate.yaml",
        f"{tmp_path}/volumes/worker/home",
        "/usr/tmp",
        f'a("{tmp_path}/scratch/worker/tmp/x")',
    ]
    assert places.said(webhook, ["/var/lib/finetune-gate/home"]) == [
        f"{tmp_path}/scratch/webhook/var/lib/finetune-gate/home"
    ]


def test_durations_and_variables_are_read_as_compose_reads_them(tmp_path: Path) -> None:
    assert [compose_services.seconds(text) for text in ("10s", "1m30s", "500ms", "1h")] == [10, 90, 0.5, 3600]
    for wrong in ("10", "", "s", "1m 30s"):
        with pytest.raises(ValueError, match="is no duration"):
            compose_services.seconds(wrong)
    path = tmp_path / "compose.yaml"
    path.write_text("a: ['${A:-b}', '${A-b}', '$${A}', '${B:?say it}']\n")
    assert compose_services.read_compose(path, {"A": "", "B": "c"}) == {"a": ["b", "", "${A}", "c"]}
    with pytest.raises(ValueError, match="B must be set: say it"):
        compose_services.read_compose(path, {})
