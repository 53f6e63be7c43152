"""The files for Kubernetes, as Prefect and Kubernetes read them: nothing undeclared, nothing that may act as root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

FOLDER = Path(__file__).parent.parent.parent / "examples" / "kubernetes"
TEMPLATE = json.loads((FOLDER / "base-job-template.json").read_text())
MANIFESTS = sorted(FOLDER.glob("*.yaml"))

SET = {
    "name": "support-bot-7",
    "command": "prefect flow-run execute",
    "gpus": 1,
    "node_selector": {"nvidia.com/gpu.present": "true"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "runtime_class": "gvisor",
    "app_armor_profile": {"type": "RuntimeDefault"},
    "labels": {"team": "support"},
    "annotations": {"team": "support"},
    "job_watch_timeout_seconds": 30_000,
    "env": {"MLFLOW_TRACKING_URI": "http://mlflow.ml:5000", "GREETING": "'; rm -rf / #"},
    "gates_volume": {"name": "gates", "configMap": {"name": "gates"}},
}


def documents(path: Path) -> list[dict[str, Any]]:
    return [one for one in YAML(typ="safe").load_all(path.read_text()) if one]


def rendered(values: dict[str, Any]) -> dict[str, Any]:
    """The job, as a worker of Prefect makes it: what is not set is left out, and ``env`` becomes a list then."""
    from prefect.utilities.templating import apply_values

    properties = TEMPLATE["variables"]["properties"]
    defaults = {name: one["default"] for name, one in properties.items() if "default" in one}
    job: dict[str, Any] = apply_values(TEMPLATE["job_configuration"], defaults | values)["job_manifest"]
    container = job["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": name, "value": value} for name, value in container["env"].items()]
    container["args"] = container.get("args", "prefect flow-run execute").split()
    return job


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, values in (("template", {}), ("template, all set", SET)):
        yield name, rendered(values)["spec"]["template"]["spec"]
    for path in MANIFESTS:
        for one in documents(path):
            if one["kind"] == "Deployment":
                yield path.name, one["spec"]["template"]["spec"]


def test_the_variables_are_a_schema_that_their_defaults_satisfy() -> None:
    from jsonschema import Draft202012Validator

    schema = TEMPLATE["variables"]
    Draft202012Validator.check_schema(schema)
    defaults = {name: one["default"] for name, one in schema["properties"].items() if "default" in one}
    Draft202012Validator(schema).validate(defaults)
    Draft202012Validator(schema).validate(SET)
    assert not Draft202012Validator(schema).is_valid({"gates_volume": {"name": "other"}})
    undescribed = [name for name, one in schema["properties"].items() if not one.get("title")]
    assert not undescribed


def test_prefect_takes_the_template_and_every_variable_is_used() -> None:
    from prefect.server.schemas.actions import WorkPoolCreate
    from prefect.utilities.templating import find_placeholders

    WorkPoolCreate(name="gates", type="kubernetes", base_job_template=TEMPLATE)
    used = {one.name for one in find_placeholders(TEMPLATE["job_configuration"])}
    assert used == set(TEMPLATE["variables"]["properties"])


def test_what_is_not_set_is_left_out_of_the_job() -> None:
    bare = rendered({})
    spec = bare["spec"]["template"]["spec"]
    assert {"runtimeClassName", "nodeSelector", "tolerations"}.isdisjoint(spec)
    assert spec["containers"][0]["resources"]["limits"] == {"cpu": "4", "memory": "6Gi"}
    assert "{{" not in json.dumps(bare)
    full = rendered(SET)
    spec = full["spec"]["template"]["spec"]
    assert (spec["runtimeClassName"], spec["tolerations"]) == ("gvisor", SET["tolerations"])
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert {"name": "GREETING", "value": "'; rm -rf / #"} in spec["containers"][0]["env"]
    assert SET["gates_volume"] in spec["volumes"]


@pytest.mark.parametrize("about", ["template", "template, all set", "receiver.yaml", "watcher.yaml"])
def test_no_pod_is_root_writes_its_root_or_holds_a_token(about: str) -> None:
    """The restricted Pod Security Standard, a read-only root, and only volumes that are there."""
    spec = dict(pods())[about]
    assert spec["automountServiceAccountToken"] is False
    assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(spec)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert {name: one for name, one in container["securityContext"].items() if name != "appArmorProfile"} == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} <= set(container["resources"]["limits"])
    volumes = {one["name"]: one for one in spec["volumes"]}
    assert {one["name"] for one in container["volumeMounts"]} == set(volumes)
    assert not any("hostPath" in one for one in volumes.values())
    (gates,) = (one for one in container["volumeMounts"] if one["name"] == "gates")
    assert gates == {"name": "gates", "mountPath": "/srv/gates", "readOnly": True}


def test_no_secret_stands_in_a_file() -> None:
    kinds = [one["kind"] for path in MANIFESTS for one in documents(path)]
    assert "Secret" not in kinds
    secrets = ("PASSWORD", "TOKEN", "API_KEY", "AUTH_STRING")
    for about, spec in pods():
        for one in spec["containers"][0]["env"]:
            assert not any(word in one["name"] for word in secrets), about
        assert spec["containers"][0]["envFrom"][0]["secretRef"]["optional"] is True


def test_manifests_name_each_other() -> None:
    every = [one for path in MANIFESTS for one in documents(path)]
    namespace = "finetune-gate"
    assert {one["metadata"].get("namespace", namespace) for one in every} == {namespace}
    accounts = {one["metadata"]["name"] for one in every if one["kind"] == "ServiceAccount"}
    claims = {one["metadata"]["name"] for one in every if one["kind"] == "PersistentVolumeClaim"}
    for about, spec in pods():
        assert spec["serviceAccountName"] in accounts, about
        wanted = {
            one["persistentVolumeClaim"]["claimName"] for one in spec["volumes"] if "persistentVolumeClaim" in one
        }
        assert wanted <= claims, about


def test_the_deployments_of_prefect_yaml_set_variables_that_there_are() -> None:
    (project,) = documents(FOLDER.parent.parent / "prefect.yaml")
    pool = project["definitions"]["pools"]["kubernetes"]
    assert set(pool["job_variables"]) <= set(TEMPLATE["variables"]["properties"])


def test_what_pods_run_is_a_command_that_there_is() -> None:
    import click

    from finetune_gate.flows.cli.program import program

    for path in MANIFESTS:
        for one in documents(path):
            if one["kind"] == "Deployment":
                words = one["spec"]["template"]["spec"]["containers"][0]["args"]
                command = program.get_command(click.Context(program), words[0])
                assert command is not None
                command.make_context(words[0], list(words[1:]))


def test_kubernetes_knows_every_field() -> None:
    """By the schemas of kubernetes-validate, where that is installed."""
    validate = pytest.importorskip("kubernetes_validate")
    for path in MANIFESTS:
        for one in documents(path):
            validate.validate(one, "1.33", strict=True)
    for values in ({}, SET):
        job = rendered(values)
        # the worker of Prefect 3 insists on these two here, where Kubernetes ignores them
        for name in ("parallelism", "completions"):
            del job["spec"]["template"]["spec"][name]
        validate.validate(job, "1.33", strict=True)


@pytest.mark.skipif(not os.environ.get("FINETUNE_GATE_LONG_TESTS"), reason="FINETUNE_GATE_LONG_TESTS=1 runs it")
def test_a_prefect_server_makes_the_pool_and_a_deployment_for_it(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PREFECT_HOME": str(tmp_path),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }

    def prefect(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    template = str(FOLDER / "base-job-template.json")
    prefect("work-pool", "create", "finetune-gate", "--type", "kubernetes", "--base-job-template", template)
    (tmp_path / "prefect.yaml").write_text(
        "pull: []\n"
        "deployments:\n"
        "  - name: gate\n"
        "    entrypoint: finetune_gate.flows.gate_flow.evaluation_gate\n"
        "    work_pool: {name: finetune-gate, job_variables: {gpus: 1, runtime_class: gvisor}}\n"
        "    parameters: {gate_file: /srv/gates/gate.yaml}\n"
    )
    prefect("deploy", "--all")
    assert "gvisor" in prefect("deployment", "inspect", "evaluation_gate/gate")
