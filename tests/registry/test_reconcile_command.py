"""`finetune-gate reconcile`: aliases and ledgers of a real registry brought together, whatever came between them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from registry_shop import MODEL, Shop

from finetune_gate.evaluators.errors import ConfigurationError, Problem, RegistryError
from finetune_gate.flows.cli import reconcile as command_file
from finetune_gate.flows.cli.reconcile import reconcile
from finetune_gate.gate.pins import Pins
from finetune_gate.gate.registry import Author, Ledger, LedgerPromotion, Registry
from finetune_gate.gate.registry.ledger_entries import ledger_name
from finetune_gate.gate.registry.ledger_store import Wanted
from finetune_gate.gate.registry.ledgers import Reconciled, models_with_ledgers, reconciled

RECORD = f"runs:/{'4f' * 16}/finetune_gate/record.json"


def resolve(shop: Shop, candidate: str) -> Pins:
    return shop.registry.resolve(MODEL, candidate, downloads=shop.downloads)


def promote(shop: Shop, candidate: str, registry: Registry | None = None) -> None:
    promoter = LedgerPromotion(registry or shop.registry, Author("octocat", "github"))
    generation = promoter.settle(MODEL, "champion").standing.generation
    promoter.promote(resolve(shop, candidate), "champion", None, "d" * 64, RECORD, generation=generation)


class Killed(BaseException):
    """The process ends here."""


class Client:
    """A client in between that ends before its ``nth`` call of ``call``."""

    def __init__(self, client: Any, call: str, nth: int) -> None:
        self._client, self._call, self._left = client, call, nth

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            self._left -= name == self._call
            if name == self._call and self._left == 0:
                raise Killed
            return method(*args, **kwargs)

        return called


def killed_at(shop: Shop, call: str, nth: int = 1) -> Registry:
    client: Any = Client(shop.registry.connection.client, call, nth)
    return Registry(replace(shop.registry.connection, client=client))


def asked(shop: Shop, *arguments: str) -> Result:
    return CliRunner().invoke(reconcile, [*arguments, "--tracking-uri", shop.uri], standalone_mode=False)


def said(shop: Shop, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = asked(shop, *arguments, "--json")
    assert done.exception is None, done.exception
    return done.return_value, json.loads(done.stdout)


def only_alias(shop: Shop) -> dict[str, Any]:
    status, found = said(shop)
    assert (status, found["exit_status"], found["problems"], found["not_looked_at"]) == (0, 0, [], [])
    (model,) = found["models"]
    (alias,) = model["aliases"]
    assert (model["model"], alias["alias"]) == (MODEL, "champion")
    return alias


def entries(shop: Shop) -> list[tuple[str, str, str]]:
    found = Ledger(shop.registry, MODEL).read()
    return [(row.entry.kind, row.entry.actor, found.fates[row.number]) for row in found.rows if row.entry]


def test_a_registry_without_ledgers(three: Shop) -> None:
    assert said(three) == (0, {"exit_status": 0, "models": [], "not_looked_at": [], "problems": []})
    assert "no model has a promotion ledger yet" in asked(three).stdout
    assert asked(three, MODEL).stdout == f"{MODEL}: no moves in a ledger yet\n"
    assert [one.name for one in three.client.search_registered_models()] == [MODEL]  # looking makes nothing


def test_in_order_and_moved_by_hand(three: Shop) -> None:
    promote(three, "3")
    assert asked(three).stdout == f"{MODEL}: @champion is at version 3: in order\n"
    three.alias("champion", "2")
    alias = only_alias(three)
    assert (alias["outcome"], alias["found"], alias["version"]) == ("moved by hand", "2", "2")
    why = "the alias was moved outside the gate"
    assert alias["deeds"] == [f"a move by hand was written down: champion -> version 2: {why}"]
    assert three.registry.alias_version(MODEL, "champion") == "2"
    assert entries(three) == [("promotion", "octocat", "counts"), ("hand-made", "unknown", "counts")]
    assert only_alias(three)["outcome"] == "in order"


@pytest.mark.parametrize(("call", "nth"), [("set_registered_model_alias", 1), ("set_model_version_tag", 2)])
def test_a_killed_move_is_completed(three: Shop, call: str, nth: int) -> None:
    """Killed before the alias was set, and between that and saying so."""
    with pytest.raises(Killed):
        promote(three, "3", killed_at(three, call, nth))
    alias = only_alias(three)
    assert (alias["outcome"], alias["version"]) == ("completed", "3")
    assert three.registry.alias_version(MODEL, "champion") == "3"
    assert only_alias(three)["outcome"] == "in order"


def test_what_a_process_set_that_slept_is_set_right(three: Shop) -> None:
    with pytest.raises(Killed):
        promote(three, "3", killed_at(three, "set_registered_model_alias"))
    promote(three, "2")
    three.alias("champion", "3")
    alias = only_alias(three)
    assert (alias["outcome"], alias["found"], alias["version"]) == ("set right", "3", "2")
    assert three.registry.alias_version(MODEL, "champion") == "2"


def test_a_deleted_entry(three: Shop) -> None:
    promote(three, "3")
    promote(three, "2")
    three.client.delete_model_version(ledger_name(MODEL), "1")
    alias = only_alias(three)
    assert (alias["outcome"], alias["version"]) == ("moved by hand", "2")
    assert "entry 1 was deleted from the ledger" in alias["deeds"][0]
    assert only_alias(three)["outcome"] == "in order"


def test_ledgers_whose_model_is_gone_and_long_names(three: Shop) -> None:
    long = "m" * 250
    for model in (long, "gone"):
        three.client.create_registered_model(model)
        for _ in range(2):
            three.client.create_model_version(model, "finetune-gate:/nothing", await_creation_for=0)
        three.client.set_registered_model_alias(model, "champion", "1")
        ledger = Ledger(three.registry, model)
        settled = ledger.settle("champion")
        ledger.move(Wanted("champion", "1", "2", 0), settled)
    three.client.delete_registered_model("gone")
    three.client.create_registered_model("finetune-gate.ledger.")  # of nobody
    assert models_with_ledgers(three.registry) == ("gone", long)
    status, found = said(three)
    assert status == 0
    assert [(one["note"], len(one["aliases"])) for one in found["models"]] == [
        ("there is no such model; its ledger stays", 0),
        ("", 1),
    ]


def test_models_that_there_are_not(three: Shop) -> None:
    done = asked(three, MODEL, "suport-bot", ledger_name(MODEL))
    assert isinstance(done.exception, ConfigurationError)
    assert [problem.where for problem in done.exception.problems] == [
        "MODEL 'suport-bot'",
        f"MODEL {ledger_name(MODEL)!r}",
    ]


def failing(model: str) -> Reconciled:
    return Reconciled(model, problems=(Problem(f"MLflow, {model}", "no answer"),))


@pytest.mark.parametrize(
    ("fails", "looked", "left"),
    [("bcd", "abcd", "ef"), ("bdf", "abcdef", ""), ("", "abcdef", "")],
)
def test_one_that_fails_keeps_no_other_from_it_and_three_in_a_row_end_it(
    three: Shop, monkeypatch: pytest.MonkeyPatch, fails: str, looked: str, left: str
) -> None:
    def each(_registry: Registry, model: str, _author: Author) -> Reconciled:
        return failing(model) if model in fails else Reconciled(model, note="fine")

    monkeypatch.setattr("finetune_gate.gate.registry.ledgers.reconciled", each)
    monkeypatch.setattr("finetune_gate.gate.registry.ledgers.models_with_ledgers", lambda _: tuple("abcdef"))
    status, found = said(three)
    assert status == (4 if fails else 0)
    assert [one["model"] for one in found["models"]] == list(looked)
    assert found["not_looked_at"] == list(left)


def test_what_the_registry_cannot_is_a_problem_of_one_model(three: Shop) -> None:
    def refuses(*_: Any, **__: Any) -> Any:
        raise RegistryError(Problem("MLflow", "busy"))

    promote(three, "3")
    three.alias("champion", "2")
    client: Any = Client(three.registry.connection.client, "", 0)
    client.create_model_version = refuses
    registry = Registry(replace(three.registry.connection, client=client))
    found = reconciled(registry, MODEL)
    assert [problem.found for problem in found.problems] == ["busy"]


def rounds(monkeypatch: pytest.MonkeyPatch, shop: Shop, between: list[Callable[[], object]], *arguments: str) -> Result:
    """With --every, until as many rounds are over as there are things to do after them."""
    left = iter(between)

    def sleep(seconds: float) -> None:
        assert 0 <= seconds <= 60
        following = next(left, None)
        if following is None:
            raise KeyboardInterrupt
        following()

    monkeypatch.setattr(command_file.time, "sleep", sleep)
    before = signal.getsignal(signal.SIGTERM)
    try:
        return asked(shop, "--every", "60", *arguments)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_again_and_again_says_only_what_is_new(three: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(three, "3")
    done = rounds(monkeypatch, three, [lambda: None, lambda: three.alias("champion", "1"), lambda: None])
    lines = done.stdout.splitlines()
    assert done.return_value == 0
    assert lines[0] == f"{MODEL}: @champion is at version 3: in order"
    assert lines[1].endswith(f"Z  {MODEL}: @champion is at version 1: moved by hand".replace("Z", "+00:00"))
    assert len(lines) == 3


def test_a_registry_that_is_away_is_waited_for(three: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(three, "3")
    moved = three.database.with_name("moved.db")
    three.database.rename(moved)
    done = rounds(monkeypatch, three, [lambda: moved.rename(three.database)], "--json")
    away, there = (json.loads(line) for line in done.stdout.splitlines())
    assert (away["exit_status"], there["exit_status"], done.return_value) == (4, 0, 0)
    assert away["problems"]
    assert there["models"][0]["aliases"][0]["outcome"] == "in order"


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to(three: Shop, by: signal.Signals) -> None:
    promote(three, "3")
    program = "from finetune_gate.flows.cli.reconcile import reconcile; reconcile()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "--every", "600", "--tracking-uri", three.uri],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith("in order\n")
        process.send_signal(by)
        assert process.wait(60) == 0  # long before the next round, however busy the machine is
