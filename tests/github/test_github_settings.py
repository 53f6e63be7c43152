"""What the action and the runner say, read from the environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.flows.github.settings import read_inputs, read_verdict_inputs


def test_nothing_set_is_a_gate_in_place() -> None:
    inputs = read_inputs({})
    assert (inputs.gate_file, inputs.model, inputs.version, inputs.deployment) == (Path("gate.yaml"), "", "latest", "")
    assert (inputs.dry_run, inputs.once, inputs.comment) == (False, False, True)
    assert (inputs.within_s, inputs.start_within_s) == (6 * 3600, 1800)
    assert inputs.runner.pull_request is None


def test_empty_is_not_set() -> None:
    names = ("GATE_FILE", "MODEL", "VERSION", "DRY_RUN", "TIMEOUT_MINUTES", "DEPLOYMENT", "PULL_REQUEST")
    assert read_inputs({f"FINETUNE_GATE_{name}": " " for name in names}) == read_inputs({})


def test_all_faults_are_said_at_once() -> None:
    wrong = {
        "DRY_RUN": "yes",
        "TIMEOUT_MINUTES": "-1",
        "START_MINUTES": "99999",
        "PULL_REQUEST": "7\nx",
        "DEPLOYMENT": "gate",
        "COMMENT_AUTHOR": "a b",
    }
    with pytest.raises(ConfigurationError) as raised:
        read_inputs({f"FINETUNE_GATE_{name}": value for name, value in wrong.items()})
    assert {problem.where for problem in raised.value.problems} == {f"FINETUNE_GATE_{name}" for name in wrong}


def test_a_deployment_needs_the_model() -> None:
    with pytest.raises(ConfigurationError, match="FINETUNE_GATE_MODEL"):
        read_inputs({"FINETUNE_GATE_DEPLOYMENT": "evaluation_gate/gate"})


@pytest.mark.parametrize("url", ["http://api.example", "ftp://x", "api.example"])
def test_a_token_travels_by_https_alone(url: str) -> None:
    with pytest.raises(ConfigurationError, match="unencrypted"):
        read_inputs({"GITHUB_API_URL": url, "GITHUB_TOKEN": "t"})
    assert read_inputs({"GITHUB_API_URL": url}).runner.api == url


def test_tokens_are_not_shown() -> None:
    assert "ghs_secret" not in repr(read_inputs({"GITHUB_TOKEN": "ghs_secret"}))


@pytest.mark.parametrize(
    ("event", "ref", "given", "number"),
    [
        ({"pull_request": {"number": 12}}, "refs/heads/main", "", 12),
        ({"pull_request": {"number": 12}}, "refs/pull/7/merge", "9", 9),
        ({"issue": {"number": 3}}, "refs/pull/7/merge", "", 7),
        ({"pull_request": {"number": "12"}}, "refs/heads/main", "", None),
        ({"pull_request": {"number": True}}, "", "", None),
        ([1], "refs/pull/0/merge", "", None),
        ("no JSON", "refs/pull/7/head", "", 7),
    ],
    ids=range(7),
)
def test_which_pull_request_it_is(tmp_path: Path, event: object, ref: str, given: str, number: int | None) -> None:
    path = tmp_path / "event.json"
    path.write_text(event if isinstance(event, str) else json.dumps(event))
    environ = {"GITHUB_EVENT_PATH": str(path), "GITHUB_REF": ref, "FINETUNE_GATE_PULL_REQUEST": given}
    assert read_inputs(environ).runner.pull_request == number


def test_the_page_is_an_address_of_numbers() -> None:
    environ = {"GITHUB_REPOSITORY": "octo/bots", "GITHUB_RUN_ID": "11"}
    assert read_inputs(environ).runner.page == "https://github.com/octo/bots/actions/runs/11"
    assert read_inputs({**environ, "GITHUB_RUN_ID": "../x"}).runner.page == ""


def test_what_a_verdict_allows() -> None:
    assert read_verdict_inputs({}).allow == {"promote"}
    assert read_verdict_inputs({"FINETUNE_GATE_ALLOW": "promote, hold"}).allow == {"promote", "hold"}
    with pytest.raises(ConfigurationError, match="FINETUNE_GATE_ALLOW"):
        read_verdict_inputs({"FINETUNE_GATE_ALLOW": "promote,error"})
    with pytest.raises(ConfigurationError, match="FINETUNE_GATE_VERIFY"):
        read_verdict_inputs({"FINETUNE_GATE_VERIFY": "no"})
