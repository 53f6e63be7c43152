"""The action evaluation-gate, step by step: real shells, the real program, a model with a hostile name."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator
from pathlib import Path

import pytest
from action_bench import ACTIONS, FAILS, OPEN, PASSES, Bench
from runner_files import commands_of, comments_api
from shipped import read
from warm_program import HOSTILE_MODEL, warm_program

pytestmark = pytest.mark.xdist_group("actions")
DECLARED = set(read(ACTIONS / "evaluation-gate" / "action.yml")["outputs"])
HARMLESS = {"notice", "warning", "error", "add-mask", "group", "endgroup"}


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Generator[Bench]:
    """One registry and one pull request, for the gates of this module, one after the other."""
    with comments_api() as api:
        bench = Bench(tmp_path_factory.mktemp("gated"), warm_program())
        bench.api = api
        yield bench


def test_promote_then_block_then_hold(gated: Bench) -> None:
    gated.rules(PASSES)
    done = gated.action({"version": "1", "attest": "true"})
    assert done.conclusion == "success", done.log
    record = Path(done.outputs["record"])
    assert done.outputs == {
        "decision": "promote",
        "model": HOSTILE_MODEL,
        "version": "1",
        "champion-before": "",
        "champion-after": "1",
        "record": str(record),
        "record-digest": done.outputs["record-digest"],
        "report": str(record.with_name("report.html")),
        "artifact": done.outputs["artifact"],
        "exit-status": "0",
    }
    assert re.fullmatch(r"[0-9a-f]{64}", done.outputs["record-digest"])
    assert json.loads(record.read_text())["decision"] == "promote"
    kept = gated.artifacts[done.outputs["artifact"]]
    assert {file.name for file in kept.iterdir()} == {file.name for file in record.parent.iterdir()}
    assert gated.serving() == "1"
    (attested,) = gated.attested
    assert attested["predicate-type"] == "urn:finetune-gate:decision:v1"
    assert json.loads(attested["predicate"])["decision"] == "promote"
    _nothing_injected(gated, done.log, done.summary)
    (key,) = gated.caches
    assert gated.api is not None
    (comment,) = gated.api.comments
    first = comment["body"]

    gated.rules(FAILS)
    done = gated.action({"version": "2"})
    assert done.conclusion == "failure"
    assert done.steps["Exit status of the gate"].status == 1
    assert (done.outputs["decision"], done.outputs["exit-status"]) == ("block", "1")
    assert (done.outputs["champion-before"], done.outputs["champion-after"]) == ("1", "1")
    assert gated.serving() == "1"
    restored = next(used for used in gated.used if used.action == "actions/cache/restore")
    assert key.startswith(restored.given["restore-keys"].split()[-1])
    assert done.outputs["artifact"] in gated.artifacts, "the report of a block is kept, too"
    assert [one["body"] == first for one in gated.api.comments] == [False], "the one comment was brought up to date"
    assert [method for method, path in gated.api.heard if "/issues/" in path and method != "GET"] == ["POST", "PATCH"]
    _nothing_injected(gated, done.log, done.summary)

    gated.rules(OPEN)
    gated.api.refuse = 403
    second = gated.api.comments[0]["body"]
    done = gated.action({"version": "2", "dry-run": "true"})
    assert done.conclusion == "failure"
    assert done.steps["Exit status of the gate"].status == 3
    assert (done.outputs["decision"], done.outputs["exit-status"]) == ("hold", "3")
    assert gated.api.comments[0]["body"] == second, "a fork's token may not write"
    assert "hold" in done.summary.lower(), "and so the summary tells"
    _nothing_injected(gated, done.log, done.summary)


def _nothing_injected(bench: Bench, log: str, summary: str) -> None:
    assert bench.traces() == []
    for command in commands_of(log):
        assert command.name in HARMLESS
        assert command.properties.get("title") != "pwned", "a text of the data spoke to the runner"
    assert bench.api is not None
    for text in (summary, *(comment["body"] for comment in bench.api.comments)):
        assert "<img" not in text
        assert "](y)" not in text.replace("\\](y)", "")


def test_usage_error(gated: Bench) -> None:
    done = gated.action({"gate-file": "$(touch pwned).yaml", "version": "`touch pwned`\n::error::pwned"})
    assert done.conclusion == "failure"
    assert done.outputs.keys() == DECLARED
    assert (done.outputs["decision"], done.outputs["exit-status"]) == ("error", "2")
    assert {done.outputs[name] for name in ("version", "record", "report", "record-digest", "artifact")} == {""}
    assert done.steps["Exit status of the gate"].status == 2
    _nothing_injected(gated, done.log, done.summary)


def test_infrastructure_error(gated: Bench) -> None:
    gated.rules(PASSES)
    done = gated.action({"mlflow-tracking-uri": "http://127.0.0.1:9", "version": "1"})
    assert done.conclusion == "failure"
    assert (done.outputs["decision"], done.outputs["exit-status"]) == ("error", "4")
    assert done.steps["Exit status of the gate"].status == 4
    assert any(command.name == "error" for command in done.commands)


@pytest.fixture
def stub(tmp_path: Path) -> Bench:
    """With a program that writes down its environment and ends as ``ending`` of the folder says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "finetune-gate"
    program.write_text(f'#!/bin/bash\nenv -0 >"{tmp_path}/environment"\nsource "{tmp_path}/ending"\n', encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / "ending").write_text("exit 0\n")
    return Bench(tmp_path, bin=folder)


def _environment(bench: Bench) -> dict[str, str]:
    pairs = os.fsdecode((bench.folder / "environment").read_bytes()).split("\0")
    return dict(pair.split("=", 1) for pair in pairs if pair)


@pytest.mark.parametrize("ending", ["kill -9 $$", "exit 130", "exit 4"], ids=["killed", "interrupted", "failed"])
def test_without_outputs_it_is_an_error(stub: Bench, ending: str) -> None:
    (stub.folder / "ending").write_text(ending)
    done = stub.action({})
    expected = {"kill -9 $$": "137", "exit 130": "130", "exit 4": "4"}[ending]
    assert done.conclusion == "failure"
    assert done.outputs["decision"] == "error"
    assert done.outputs["exit-status"] == expected
    assert done.steps["Exit status of the gate"].status == int(expected)


def test_every_input_arrives_as_it_was_given(stub: Bench) -> None:
    names = {
        "model": "MODEL",
        "version": "VERSION",
        "gate-file": "GATE_FILE",
        "base": "BASE",
        "dry-run": "DRY_RUN",
        "once": "ONCE",
        "deployment": "DEPLOYMENT",
        "comment": "COMMENT",
        "pull-request": "PULL_REQUEST",
        "timeout-minutes": "TIMEOUT_MINUTES",
        "start-minutes": "START_MINUTES",
    }
    given = {name: f"{name} ';\"$(touch pwned)`touch pwned`\n&& touch pwned #%0A::error::x" for name in names}
    others = {
        "prefect-api-url": "http://$(touch pwned)",
        "mlflow-tracking-uri": "http://`touch pwned`",
        "github-token": "$(x)",
    }
    done = stub.action({**given, **others})
    assert done.conclusion == "success"
    found = _environment(stub)
    assert {name: found[f"FINETUNE_GATE_{variable}"] for name, variable in names.items()} == given
    assert [found[name] for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "GITHUB_TOKEN")] == list(others.values())
    assert stub.traces() == []


def test_what_is_left_out_hides_nothing_that_the_job_has_set(stub: Bench) -> None:
    set_by_job = {
        "MLFLOW_TRACKING_URI": "http://mlflow",
        "PREFECT_API_URL": "http://prefect",
        "FINETUNE_GATE_HOME": "/disk",
    }
    stub.action({}, environment=set_by_job)
    assert set_by_job.items() <= _environment(stub).items()
    assert not any(used.action.startswith("actions/cache") for used in stub.used), "a disk of its own needs no cache"


@pytest.mark.parametrize(
    "inputs", [{"cache": "false"}, {"deployment": "evaluation_gate/gate"}], ids=["not wanted", "worker"]
)
def test_answers_are_not_cached(stub: Bench, inputs: dict[str, str]) -> None:
    assert stub.action(inputs).conclusion == "success"
    assert not any(used.action.startswith("actions/cache") for used in stub.used)


def test_keys_and_names_hold_plain_letters_alone(stub: Bench) -> None:
    (stub.folder / "ending").write_text(
        'mkdir -p "$FINETUNE_GATE_HOME" "$FINETUNE_GATE_OUT/1"; touch "$FINETUNE_GATE_HOME/answers.sqlite"\n'
        'echo "folder=$FINETUNE_GATE_OUT/1" >>"$GITHUB_OUTPUT"\n'
    )
    hostile = {"model": "a,b\n/../c", "version": 'models:/x/1"<>|*?\n', "gate-file": "../../gate\n.yaml"}
    done = stub.action(hostile)
    assert done.conclusion == "success", done.log
    (artifact,) = stub.artifacts
    (key,) = stub.caches
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,150}", artifact)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,150}", key)
    assert done.outputs["artifact"] == artifact
    assert stub.action({**hostile, "artifact-name": "mine"}).outputs["artifact"] == "mine"
    assert len(stub.caches) == 1, "a cache of this very run is not written twice"


def test_a_cache_that_fails_costs_nothing_else(stub: Bench) -> None:
    """The stub leaves no answers, and the stand-in refuses to keep nothing."""
    done = stub.action({})
    assert done.steps["Keep the answers"].outcome == "failure"
    assert done.conclusion == "success"


def test_a_report_that_cannot_be_kept_is_a_failure(stub: Bench) -> None:
    (stub.folder / "ending").write_text(
        'mkdir -p "$FINETUNE_GATE_OUT"; echo "folder=$FINETUNE_GATE_OUT" >>"$GITHUB_OUTPUT"\n'
    )
    stub.artifacts["taken"] = stub.folder
    done = stub.action({"artifact-name": "taken"})
    assert done.conclusion == "failure"
    assert done.outputs["artifact"] == ""


def test_a_fork_can_turn_everything_off_that_needs_a_right(stub: Bench) -> None:
    assert stub.action({"github-token": "", "comment": "false", "attest": "false"}).conclusion == "success"
    assert _environment(stub)["GITHUB_TOKEN"] == ""


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    done = Bench(tmp_path, bin=tmp_path).action({})
    assert done.conclusion == "failure"
    assert done.outputs["decision"] == "error"
    assert [command.properties["title"] for command in done.commands] == ["finetune-gate is not on the PATH"]


@pytest.fixture
def pythons(tmp_path: Path) -> Bench:
    """With a python that makes environments of itself, and writes down what it is asked to install."""
    folder = tmp_path / "bin"
    folder.mkdir()
    python = folder / "python3"
    python.write_text(
        f"""#!/bin/bash
printf '%s\\n' "$*" >>"{tmp_path}/asked"
if [[ "$2" == venv ]]; then
  mkdir -p "$3/bin"
  cp "$0" "$3/bin/python"
  printf '#!/bin/bash\\n' >"$3/bin/finetune-gate"
  chmod +x "$3/bin/finetune-gate"
fi
""",
        encoding="utf-8",
    )
    python.chmod(0o755)
    return Bench(tmp_path, bin=folder)


def test_it_installs_its_own_commit(pythons: Bench) -> None:
    done = pythons.action({"install": "own", "extras": "ray,dask"})
    assert done.conclusion == "success", done.log
    root = ACTIONS.parents[1]
    pip = f"-m pip install --disable-pip-version-check --quiet --constraint {root}/constraints.txt"
    _, torch, whole = (pythons.folder / "asked").read_text().splitlines()
    assert torch == f"{pip} --no-deps --index-url https://download.pytorch.org/whl/cpu torch"
    assert whole == f"{pip} {root}[ray,dask]"


def test_gpu_builds_come_from_the_usual_index(pythons: Bench) -> None:
    assert pythons.action({"install": "own", "torch-index": ""}).conclusion == "success"
    assert "--index-url" not in (pythons.folder / "asked").read_text()


@pytest.mark.parametrize(
    "inputs", [{"extras": "ray]; touch pwned"}, {"install": "git+https://example.org/x"}], ids=["extras", "install"]
)
def test_it_installs_nothing_else(pythons: Bench, inputs: dict[str, str]) -> None:
    done = pythons.action({"install": "own", **inputs})
    assert done.conclusion == "failure"
    assert done.outputs["decision"] == "error"
    assert not (pythons.folder / "asked").exists()
