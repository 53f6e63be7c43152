"""The list for a scheduler: what a watcher would start, of a real registry in which nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from shelf import AT_ONCE, BOT, Counting, Shelf, write_gate

from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.flows.cli.ungated import ungated as command
from finetune_gate.gate.gate_file import load_gate_file
from finetune_gate.gate.registry import Author, Registry
from finetune_gate.gate.registry.ledger import Ledger
from finetune_gate.gate.registry.ledger_store import Wanted
from finetune_gate.gate.turns import Held, Turns
from finetune_gate.gate.watching import Found, Pace, ungated


def found_on(shelf: Shelf, *, new_above: int | None = None, pace: Pace | None = None) -> Found:
    found = ungated(Registry.connect(shelf.uri), [shelf.folder / "gate.yaml"], new_above=new_above, pace=pace)
    assert not found.problems, found.problems
    return found


def to_gate(shelf: Shelf, *, new_above: int | None = None, pace: Pace | None = None) -> list[str]:
    return [one.version for one in found_on(shelf, new_above=new_above, pace=pace).to_gate]


def kinds(shelf: Shelf) -> dict[str, str]:
    return {one.version: one.kind for one in found_on(shelf).asking}


def everything_in(shelf: Shelf) -> list[tuple[str, str, object]]:
    """All that the registry holds, books of our own included."""
    models = shelf.client.search_registered_models(max_results=100)
    rows = [("model", model.name, (dict(model.aliases), dict(model.tags))) for model in models]
    for model in models:
        for one in shelf.client.search_model_versions(f"name='{model.name}'"):
            rows.append((model.name, str(one.version), (dict(one.tags), one.last_updated_timestamp, one.current_stage)))
    return sorted(rows, key=str)


def promote(shelf: Shelf, before: str | None, after: str) -> None:
    ledger = Ledger(shelf.registry, BOT, Author("ana", "test"))
    settled = ledger.settle("champion")
    ledger.move(Wanted("champion", before, after, settled.standing.generation, reason="Good."), settled)


@pytest.fixture
def watched(shelf: Shelf) -> Shelf:
    """One old version, and somebody has begun to watch."""
    write_gate(shelf.folder)
    shelf.register()
    shelf.look(Counting())
    return shelf


def test_names_what_a_watcher_would_start_and_writes_nothing(watched: Shelf) -> None:
    watched.register()
    watched.register()
    watched.tag("1", "gate", "requested")
    before = everything_in(watched)
    found = found_on(watched)
    assert [(one.model, one.version, one.why) for one in found.to_gate] == [
        (BOT, "1", "tag gate=requested"),
        (BOT, "2", "new version"),
        (BOT, "3", "new version"),
    ]
    assert everything_in(watched) == before
    relay = Counting()
    watched.look(relay)
    assert relay.versions == [one.version for one in found.to_gate]
    assert to_gate(watched) == []


def test_what_is_decided_running_or_just_failed_is_not_named(watched: Shelf) -> None:
    digest = load_gate_file(watched.folder / "gate.yaml").digest
    for version in (watched.register(), watched.register(), watched.register(), watched.register()):
        held = Turns(watched.registry, BOT, Author("ana", "test")).take(watched.subject(version, digest), "once")
        assert isinstance(held, Held)
        if version == "2":
            watched.end_last("block")
        elif version == "4":
            watched.end_last("failed")
        elif version == "5":
            watched.end_last("misconfigured")
    assert kinds(watched) == {"3": "wait", "4": "wait", "5": "give up"}
    assert to_gate(watched) == []
    assert to_gate(watched, pace=AT_ONCE) == ["4"]


def test_a_version_that_mlflow_has_not_finished_is_listed_and_not_named(
    watched: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.register()
    from dataclasses import replace

    real = Registry.versions
    monkeypatch.setattr(
        Registry, "versions", lambda self, model: [replace(one, status="PENDING") for one in real(self, model)]
    )
    assert kinds(watched) == {"2": "not ready"}


@pytest.mark.parametrize(
    ("served", "new_above", "named"),
    [((), None, ["3"]), (("1",), None, ["2", "3"]), ((), 0, ["1", "2", "3"])],
    ids=["none has served", "the first serves", "said by hand"],
)
def test_where_nobody_watches_what_is_new_follows_from_what_served(
    shelf: Shelf, served: tuple[str, ...], new_above: int | None, named: list[str]
) -> None:
    write_gate(shelf.folder)
    for _ in range(3):
        shelf.register()
    for before, after in zip((None, *served), served, strict=False):
        promote(shelf, before, after)
    assert to_gate(shelf, new_above=new_above) == named
    assert shelf.log().watched_from is None
    assert "nobody has begun to watch" in found_on(shelf, new_above=new_above).notes[0]


def test_an_alias_that_was_set_by_hand_has_served(shelf: Shelf) -> None:
    write_gate(shelf.folder)
    for _ in range(3):
        shelf.register()
    shelf.alias("champion", "2")
    assert to_gate(shelf) == ["3"]


def test_no_model_yet_is_nothing_to_gate_and_one_of_our_own_lists_is_refused(shelf: Shelf) -> None:
    write_gate(shelf.folder)
    found = found_on(shelf)
    assert (found.to_gate, len(found.notes)) == ((), 1)
    write_gate(shelf.folder, model=f"finetune-gate.turns.{BOT}")
    with pytest.raises(ConfigurationError, match="own lists"):
        found_on(shelf)


def run(shelf: Shelf, *arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [*map(str, arguments), "--tracking-uri", shelf.uri])


def test_the_matrix_is_one_line_of_strings_and_empty_where_there_is_nothing(watched: Shelf) -> None:
    gate = watched.folder / "gate.yaml"
    nothing = run(watched, gate, "--json")
    assert (nothing.stdout, nothing.exit_code) == ('{"include": []}\n', 0)
    for _ in range(3):
        watched.register()
    some = run(watched, gate, "--json", "--at-most", "2")
    assert some.exit_code == 0
    (line,) = some.stdout.splitlines()
    job = {"model": BOT, "gate_file": str(gate), "asked": "new version"}
    assert json.loads(line) == {"include": [{**job, "version": "2"}, {**job, "version": "3"}]}
    assert "1 more to be gated" in some.stderr
    told = run(watched, gate)
    assert f"{BOT} v4 (new version), {gate}: to be gated: not gated yet" in told.stdout
    assert "3 of 3 that ask are to be gated" in told.stdout


def test_one_model_that_cannot_be_looked_at_keeps_no_other_from_it(
    watched: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finetune_gate.evaluators.errors import Problem, RegistryError

    watched.register()
    other = write_gate(watched.folder, "other.yaml", model="other")
    real = Registry.versions

    def versions(self: Registry, model: str) -> object:
        if model == "other":
            raise RegistryError(Problem("MLflow", "no answer in time"))
        return real(self, model)

    monkeypatch.setattr(Registry, "versions", versions)
    told = run(watched, other, watched.folder / "gate.yaml", "--json")
    said = json.loads(told.stdout)
    assert ([one["version"] for one in said["include"]], told.exit_code) == (["2"], 4)
    assert said["errors"][0]["found"] == "no answer in time"


def test_every_gate_file_that_is_wrong_is_named(watched: Shelf) -> None:
    wrong = watched.folder / "wrong.yaml"
    wrong.write_text("model: [")
    with pytest.raises(ConfigurationError) as raised:
        ungated(watched.registry, [wrong, watched.folder / "absent.yaml", watched.folder / "gate.yaml"])
    assert {Path(one.where.partition(":")[0]).name for one in raised.value.problems} == {"wrong.yaml", "absent.yaml"}
