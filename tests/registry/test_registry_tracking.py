"""One MLflow run per gate run: found again after a kill, logged to twice without harm, read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from registry_shop import MODEL, Shop

from finetune_gate.evaluators.errors import RegistryError
from finetune_gate.gate.registry.tracking import Tracking, legal_names

KEY = "0f" * 32


@pytest.fixture
def tracking(shop: Shop) -> Tracking:
    return Tracking(shop.registry)


def test_a_run(shop: Shop, tracking: Tracking, tmp_path: Path) -> None:
    import mlflow

    run_id = tracking.open_run(MODEL, KEY, "support-bot v7: promote", {"finetune_gate.decision": "promote"})
    (tmp_path / "record.json").write_text('{"decision": "promote"}')
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text("<p>")
    tracking.log_files(run_id, [tmp_path / "record.json"])
    tracking.log_files(run_id, tmp_path / "report", "finetune_gate/report")
    tracking.log_results(run_id, {"classification.accuracy": 0.81}, {"candidate": "support-bot v7"}, {"x": "y"})
    tracking.finish_run(run_id, "FINISHED")

    run = shop.client.get_run(run_id)
    assert shop.client.get_experiment(run.info.experiment_id).name == "finetune-gate/support-bot"
    assert (run.info.run_name, run.info.status) == ("support-bot v7: promote", "FINISHED")
    assert run.info.end_time >= run.info.start_time
    assert run.data.metrics == {"classification.accuracy": 0.81}
    assert run.data.params == {"candidate": "support-bot v7"}
    assert run.data.tags["x"] == "y"
    assert run.data.tags["finetune_gate.run_key"] == KEY
    assert mlflow.active_run() is None

    address = tracking.record_address(run_id, "record.json")
    assert address == f"runs:/{run_id}/finetune_gate/record.json"
    fetched = tracking.fetch(address, tmp_path / "back")
    assert fetched == tmp_path / "back" / "record.json"
    assert fetched.read_text() == '{"decision": "promote"}'
    folder = tracking.fetch(f"runs:/{run_id}/finetune_gate", tmp_path / "all")
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["index.html", "record.json"]
    assert tracking.run_url(run_id) is None


def test_a_killed_run_is_taken_up_again(shop: Shop, tracking: Tracking) -> None:
    first = tracking.open_run(MODEL, KEY, "one", {"a": "1"})
    other = tracking.open_run(MODEL, "another", "two", {})
    assert other != first
    tracking.log_results(first, {"m": 1.0}, {"p": "q"}, {})
    again = tracking.open_run(MODEL, KEY, "one", {"a": "2"})
    assert again == first
    tracking.log_results(again, {"m": 1.0}, {"p": "q"}, {})
    run = shop.client.get_run(first)
    assert (run.data.metrics, run.data.params, run.data.tags["a"]) == ({"m": 1.0}, {"p": "q"}, "2")
    assert len(shop.client.get_metric_history(first, "m")) == 1


def test_a_run_that_was_told_to_stop_is_taken_up_again(shop: Shop, tracking: Tracking) -> None:
    first = tracking.open_run(MODEL, KEY, "one", {})
    tracking.finish_run(first, "KILLED")
    assert tracking.open_run(MODEL, KEY, "one", {}) == first
    assert shop.client.get_run(first).info.status == "RUNNING"


@pytest.mark.parametrize("status", ["FINISHED", "FAILED"])
def test_a_finished_run_is_left_alone(tracking: Tracking, status: str) -> None:
    first = tracking.open_run(MODEL, KEY, "one", {})
    tracking.finish_run(first, status)  # pyright: ignore[reportArgumentType]
    assert tracking.open_run(MODEL, KEY, "one", {}) != first


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_not_logged(shop: Shop, tracking: Tracking, value: float) -> None:
    run_id = tracking.open_run(MODEL, KEY, "one", {})
    with pytest.raises(ValueError, match="metric 'b' is"):
        tracking.log_results(run_id, {"a": 1.0, "b": value}, {}, {})
    assert shop.client.get_run(run_id).data.metrics == {}


def test_more_than_one_batch(shop: Shop, tracking: Tracking) -> None:
    run_id = tracking.open_run(MODEL, KEY, "one", {})
    metrics = {f"m{number}": float(number) for number in range(1203)}
    params = {f"p{number}": "x" * 7000 for number in range(205)}
    tags = {f"t{number}": "y" * 9000 for number in range(205)}
    tracking.log_results(run_id, metrics, params, tags)
    run = shop.client.get_run(run_id)
    assert run.data.metrics == metrics
    assert {len(value) for value in run.data.params.values()} == {6000}
    assert len(run.data.params) == 205
    assert sum(key.startswith("t") for key in run.data.tags) == 205


def test_a_parameter_does_not_change(tracking: Tracking) -> None:
    run_id = tracking.open_run(MODEL, KEY, "one", {})
    tracking.log_results(run_id, {}, {"candidate": "v7"}, {})
    with pytest.raises(RegistryError, match=r"cannot log results to run .*Changing param values is not allowed"):
        tracking.log_results(run_id, {}, {"candidate": "v8"}, {})


@pytest.mark.parametrize(
    ("names", "legal"),
    [
        (["classification.accuracy"], ["classification.accuracy"]),
        (["vs_base/accuracy", "a b:c-d"], ["vs_base/accuracy", "a b:c-d"]),
        (["recall[category=billing]"], ["recall_category_billing_"]),
        (["größe"], ["gr__e"]),
        (["../x", "/x", "a//b", "a/./b", ".", ""], None),
        (["x" * 300], ["x" * 250]),
    ],
)
def test_names_that_mlflow_allows(tracking: Tracking, names: list[str], legal: list[str] | None) -> None:
    made = legal_names(dict.fromkeys(names, 1.0))
    if legal is not None:
        assert list(made) == legal
    assert len(made) == len(names)
    tracking.log_results(tracking.open_run(MODEL, KEY, "one", {}), dict.fromkeys(names, 1.0), {}, {})


def test_names_that_would_become_one() -> None:
    made = legal_names({"a[b]": 1, "a(b)": 2, "a_c": 3})
    assert sorted(made.values()) == [1, 2, 3]
    assert [name for name in made if not name.startswith("a_b_.")] == ["a_c"]


def test_a_deleted_experiment(shop: Shop, tracking: Tracking) -> None:
    run_id = tracking.open_run(MODEL, KEY, "one", {})
    experiment = shop.client.get_run(run_id).info.experiment_id
    shop.client.delete_experiment(experiment)
    with pytest.raises(RegistryError) as caught:
        tracking.open_run(MODEL, KEY, "one", {})
    assert str(caught.value) == (
        "experiment 'finetune-gate/support-bot': it is deleted, and MLflow keeps its name\n"
        "  expected: a place to log gate runs\n"
        f"  way out:  restore it: mlflow experiments restore --experiment-id {experiment}"
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("finetune_gate/nothing.json", "there is no such file"),
        ("finetune_gate/../../x", "that is no file of a run"),
        ("", "that is no file of a run"),
    ],
)
def test_fetching_what_is_not_there(tracking: Tracking, tmp_path: Path, path: str, message: str) -> None:
    run_id = tracking.open_run(MODEL, KEY, "one", {})
    with pytest.raises(RegistryError, match=message):
        tracking.fetch(f"runs:/{run_id}/{path}", tmp_path / "back")


def test_fetching_from_a_run_that_is_not_there(tracking: Tracking, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="cannot read run 00ff: Run with id=00ff not found"):
        tracking.fetch("runs:/00ff/finetune_gate/record.json", tmp_path)


def test_a_run_key_is_one_word(tracking: Tracking) -> None:
    with pytest.raises(ValueError, match="is not one word"):
        tracking.open_run(MODEL, "x' OR '1'='1", "one", {})
