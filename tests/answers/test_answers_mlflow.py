"""Answers among MLflow's artifacts: beside a real database, and through a real server."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest
from answer_shards import BASE, BOT, shard

from finetune_gate.gate.answers import ModelKey, SharedAnswers, StoreLimits, open_answers, shared_answers, sharing
from finetune_gate.gate.answers.mlflow_place import EXPERIMENT, MODEL_TAG
from finetune_gate.gate.registry.mlflow_client import Connection, connect
from finetune_gate.gate.registry.mlflow_types import Client

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow_server")]


@pytest.fixture(params=["database", "server"])
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connection]:
    if request.param == "server":
        yield connect(request.getfixturevalue("server"))
        return
    shutil.copyfile(request.getfixturevalue("database"), tmp_path / "mlflow.db")
    with contextlib.chdir(tmp_path):  # where MLflow puts files of experiments that name no place
        yield connect(f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture
def model(tmp_path: Path) -> ModelKey:
    """A model of its own for each test: they share the server."""
    return ModelKey(hashlib.sha256(str(tmp_path).encode()).hexdigest(), "support-bot \x1b[31mv7")


def place_at(connection: Connection) -> SharedAnswers:
    place = shared_answers("mlflow", connection)
    assert place is not None
    return place


def run(home: Path, connection: Connection, shards: Sequence[int], model: ModelKey) -> tuple[list[int], list[str]]:
    said: list[str] = []
    computed: list[int] = []
    place = place_at(connection)
    with open_answers(home, [model, BASE], shared=place, limits=StoreLimits(), say=said.append) as store:
        for number in shards:
            wanted = shard(number)
            known = store.get(list(wanted))
            assert all(wanted[at] == one for at, one in known.items())
            if len(known) < len(wanted):
                store.put(wanted, model)
                computed.append(number)
    return computed, said


def runs_of(connection: Connection, model: ModelKey) -> list[tuple[str, str]]:
    experiment = connection.client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    found = connection.client.search_runs([experiment.experiment_id], f"tags.`{MODEL_TAG}` = '{model.digest}'")
    return [(one.info.run_id, one.info.status) for one in found]


def test_another_machine_asks_nothing_again(tmp_path: Path, connection: Connection, model: ModelKey) -> None:
    label = place_at(connection).label
    assert run(tmp_path / "a", connection, [0, 1], model) == ([0, 1], [f"64 answers shared at {label}"])
    assert run(tmp_path / "b", connection, [0, 1, 2], model) == (
        [2],
        [f"64 answers brought from {label}", f"32 answers shared at {label}"],
    )
    assert run(tmp_path / "a", connection, [0, 1, 2], model) == ([], [f"32 answers brought from {label}"])
    assert run(tmp_path / "a", connection, [0, 1, 2], model) == ([], [])
    assert [status for _, status in runs_of(connection, model)] == ["FINISHED", "FINISHED"]


def test_several_packs_of_one_run(
    tmp_path: Path, connection: Connection, model: ModelKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pushed while the run went on; a run that was killed leaves its MLflow run open, and can be read all the same."""
    monkeypatch.setattr(sharing, "PUSH_EVERY_SECONDS", 0.0)
    place = place_at(connection)
    with open_answers(tmp_path / "a", [model], shared=place, limits=StoreLimits(), say=print) as store:
        store.put(shard(1), model)
        store.put(shard(2), model)
        ((_, status),) = runs_of(connection, model)
        assert status == "RUNNING"
        assert run(tmp_path / "b", connection, [1, 2], model)[0] == []
        assert {pack.settled for pack in place_at(connection).packs(model.digest)} == {False}
    assert [status for _, status in runs_of(connection, model)] == ["FINISHED"]
    packs = place_at(connection).packs(model.digest)
    assert [(pack.settled, pack.size is not None) for pack in packs] == [(True, True)] * 2


def test_a_bad_pack_is_ignored_and_a_vanished_one_is_none(
    tmp_path: Path, connection: Connection, model: ModelKey
) -> None:
    place = place_at(connection)
    place.write(model, {"0" * 64 + ".jsonl.gz": b"x", "readme.txt": b"x"})
    place.close()
    computed, said = run(tmp_path / "a", connection, [1], model)
    assert computed == [1]
    assert sum(" ignored: " in line for line in said) == 1
    assert "\x1b" not in "".join(said)
    (pack,) = (pack for pack in place.packs(model.digest) if pack.name.startswith("0000"))
    assert place.read(model.digest, pack, 100) == b"x"
    assert place.read(model.digest, type(pack)("1" * 64 + ".jsonl.gz", pack.group, 1), 100) is None


def test_many_runs_are_put_together(
    tmp_path: Path, connection: Connection, model: ModelKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "MANY_PACKS", 3)
    for number in range(6):
        assert run(tmp_path / str(number), connection, [number], model)[0] == [number]
    assert len(runs_of(connection, model)) <= 4
    assert run(tmp_path / "new", connection, range(6), model)[0] == []


def test_a_run_without_packs(tmp_path: Path, connection: Connection, model: ModelKey) -> None:
    """Killed right after it was begun."""
    run(tmp_path / "a", connection, [1], model)
    experiment = connection.client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    connection.client.create_run(experiment.experiment_id, tags={MODEL_TAG: model.digest})
    assert len(place_at(connection).packs(model.digest)) == 1


def test_a_deleted_experiment_is_said(tmp_path: Path, database: Path, model: ModelKey) -> None:
    shutil.copyfile(database, tmp_path / "mlflow.db")
    with contextlib.chdir(tmp_path):
        connection = connect(f"sqlite:///{tmp_path / 'mlflow.db'}")
        run(tmp_path / "a", connection, [1], model)
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
        client.delete_experiment(client.get_experiment_by_name(EXPERIMENT).experiment_id)
        computed, (line,) = run(tmp_path / "b", connection, [1], model)
    assert computed == [1]
    assert "answers are not shared: experiment 'finetune-gate/answers': it is deleted" in line


def test_a_server_that_is_gone(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    address = "http://127.0.0.1:9"
    gone = Connection(cast("Client", MlflowClient(address)), address, address)
    computed, (line,) = run(tmp_path / "a", gone, [1], BOT)
    assert computed == [1]
    assert line.startswith("answers are not shared: MLflow at http://127.0.0.1:9: cannot ")
