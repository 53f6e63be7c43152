"""The ledger in a real registry: moves by hand, deleted things, other names, what people see, and what it costs."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from registry_shop import MODEL, Shop

from finetune_gate.evaluators.errors import ConfigurationError, RegistryError
from finetune_gate.gate.pins import Pins
from finetune_gate.gate.registry import Author, Ledger, LedgerPromotion, Move, Registry, reconcile
from finetune_gate.gate.registry.ledger import Settled
from finetune_gate.gate.registry.ledger_entries import DONE, SETTING_TAG, Entry, Fate, ledger_name

LEDGER = ledger_name(MODEL)
RECORD = f"runs:/{'4f' * 16}/finetune_gate/record.json"


def resolve(shop: Shop, candidate: str = "3") -> Pins:
    return shop.registry.resolve(MODEL, candidate, downloads=shop.downloads)


def promote(shop: Shop, candidate: str, registry: Registry | None = None) -> Move:
    """As a gate run does: settle, judge, act."""
    promoter = LedgerPromotion(registry or shop.registry, Author("octocat", "github"))
    generation = promoter.settle(MODEL, "champion").standing.generation
    return promoter.promote(
        resolve(shop, candidate), "champion", None, "d" * 64, RECORD, generation=generation, reason="All passed."
    )


def entries(shop: Shop) -> list[tuple[str, str | None, str | None, Fate]]:
    found = Ledger(shop.registry, MODEL).read()
    return [
        (row.entry.kind, row.entry.before, row.entry.after, found.fates[row.number]) for row in found.rows if row.entry
    ]


def settle(shop: Shop) -> Settled:
    return Ledger(shop.registry, MODEL, Author("watcher", "watch")).settle("champion")


def deeds(settled: Settled) -> list[str]:
    return [deed.said for deed in settled.deeds]


def serves(shop: Shop) -> str | None:
    return shop.registry.alias_version(MODEL, "champion")


class Dead(BaseException):
    """The process ends here."""


class Client:
    """A client in between: ``before`` is told of every call, by name."""

    def __init__(self, client: Any, before: Callable[[str], None]) -> None:
        self._client, self._before = client, before

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            self._before(name)
            return method(*args, **kwargs)

        return called


def watched(shop: Shop, before: Callable[[str], None]) -> Registry:
    client: Any = Client(shop.registry.connection.client, before)
    return Registry(replace(shop.registry.connection, client=client))


def dies_at(shop: Shop, call: str, nth: int = 1) -> Registry:
    left = [nth]

    def before(name: str) -> None:
        left[0] -= name == call
        if name == call and left[0] == 0:
            raise Dead

    return watched(shop, before)


def test_the_first_move_takes_the_alias_as_it_is(three: Shop) -> None:
    assert settle(three).standing.generation == 0
    assert settle(three).standing.version == "1"
    assert entries(three) == []  # looking writes nothing
    move = promote(three, "3")
    assert (move.outcome, move.before, move.after, move.entry) == ("moved", "1", "3", 1)
    assert promote(three, "2").entry == 2
    assert entries(three) == [("promotion", "1", "3", "counts"), ("promotion", "3", "2", "counts")]
    assert settle(three).deeds == ()


# -- moved by hand, or half done -----------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["2", "1", None])
def test_a_move_by_hand_is_written_down_and_left_as_it_is(three: Shop, to: str | None) -> None:
    """Also one straight back to where the alias came from: our own move was seen to be done."""
    promote(three, "3")
    if to is None:
        three.client.delete_registered_model_alias(MODEL, "champion")
    else:
        three.alias("champion", to)
    assert len(settle(three).deeds) == 1
    assert serves(three) == to
    assert entries(three)[1:] == [("hand-made", "3", to, "counts")]
    entry = Ledger(three.registry, MODEL).read().rows[1].entry
    assert entry is not None
    assert (entry.actor, entry.trigger) == ("unknown", "noticed by watcher, watch")
    assert entry.reason == f"the alias was {'removed' if to is None else 'moved'} outside the gate"
    assert settle(three).deeds == ()


@pytest.mark.parametrize("call", ["set_registered_model_alias", "set_model_version_tag"])
def test_our_own_half_move_is_completed(three: Shop, call: str) -> None:
    with pytest.raises(Dead):
        promote(three, "3", dies_at(three, call))
    assert serves(three) == "1"
    settled = settle(three)
    assert deeds(settled) == ["an earlier run's move was completed: champion: version 1 -> version 3"]
    assert (settled.found, serves(three)) == ("1", "3")
    assert entries(three) == [("promotion", "1", "3", "counts")]
    assert settle(three).deeds == ()


def test_killed_after_the_alias_was_set_and_before_it_was_said_to_be_done(three: Shop) -> None:
    with pytest.raises(Dead):
        promote(three, "3", dies_at(three, "set_model_version_tag", 2))
    assert serves(three) == "3"
    assert not Ledger(three.registry, MODEL).read().rows[0].done
    assert deeds(settle(three)) == ["an earlier run's move was completed: champion: version 1 -> version 3"]
    three.alias("champion", "1")
    assert deeds(settle(three))[0].startswith("a move by hand was written down: ")


def test_moved_by_hand_to_another_version_while_our_own_move_was_half_done(three: Shop) -> None:
    with pytest.raises(Dead):
        promote(three, "3", dies_at(three, "set_registered_model_alias"))
    three.alias("champion", "2")
    settle(three)
    assert serves(three) == "2"
    assert entries(three) == [("promotion", "1", "3", "counts"), ("hand-made", "3", "2", "counts")]


def test_moved_by_hand_while_a_gate_was_judging(three: Shop) -> None:
    promoter = LedgerPromotion(three.registry)
    generation = promoter.settle(MODEL, "champion").standing.generation
    pins = resolve(three)
    three.alias("champion", "2")
    move = promoter.promote(pins, "champion", None, "d", RECORD, generation=generation)
    assert move.outcome == "stale"
    assert serves(three) == "2"


def test_moved_away_and_back_while_a_gate_was_judging(three: Shop) -> None:
    """The version is the one it was judged against, and the generation is not."""
    promoter = LedgerPromotion(three.registry)
    promote(three, "1")
    generation = promoter.settle(MODEL, "champion").standing.generation
    pins = resolve(three)
    promote(three, "2")
    promote(three, "1")
    move = promoter.promote(pins, "champion", None, "d", RECORD, generation=generation)
    assert (move.outcome, move.before) == ("stale", "1")
    assert move.detail.endswith("points to version 1 now; this run was judged when entry 0 of its ledger was last")


def test_a_writer_that_slept_while_others_moved_on_sets_it_right_itself(three: Shop) -> None:
    def sleep(name: str) -> None:
        if name == "set_registered_model_alias" and len(entries(three)) == 1:
            settle(three)  # somebody completes its move
            promote(three, "2")

    assert promote(three, "3", watched(three, sleep)).outcome == "moved"
    assert serves(three) == "2"
    assert entries(three) == [("promotion", "1", "3", "counts"), ("promotion", "3", "2", "counts")]


def test_a_writer_that_slept_and_died_right_after_it_had_set_the_alias(three: Shop) -> None:
    """Not taken for a move by hand: it had said that it would set the alias, and not that it is done."""
    slept = [False]

    def sleep(name: str) -> None:
        if name == "set_registered_model_alias" and not slept[0]:
            slept[0] = True
            settle(three)
            promote(three, "2")
        elif name == "get_registered_model" and slept[0]:
            raise Dead

    with pytest.raises(Dead):
        promote(three, "3", watched(three, sleep))
    assert serves(three) == "3"
    assert deeds(settle(three)) == ["a write that came late was set right: champion -> version 2"]
    assert serves(three) == "2"


def test_two_gates_at_once(three: Shop) -> None:
    def meanwhile(name: str) -> None:
        if name == "create_model_version" and not entries(three):
            promote(three, "2")

    move = promote(three, "3", watched(three, meanwhile))
    assert (move.outcome, move.before) == ("stale", "2")
    assert "points to version 2 now; this run was judged when it pointed to version 1" in move.detail
    assert entries(three) == [("promotion", "1", "2", "counts"), ("promotion", "1", "3", "late")]


def test_written_twice_because_an_answer_was_lost(three: Shop) -> None:
    """As MLflow's own client does, which repeats a request that broke off: both are entries, and one counts."""
    client: Any = three.registry.connection.client

    class Repeats:
        def __getattr__(self, name: str) -> Any:
            method = getattr(client, name)
            if name != "create_model_version":
                return method

            def twice(*args: Any, **kwargs: Any) -> Any:
                method(*args, **kwargs)
                return method(*args, **kwargs)

            return twice

    repeats: Any = Repeats()
    move = promote(three, "3", Registry(replace(three.registry.connection, client=repeats)))
    assert (move.outcome, move.entry) == ("moved", 1)
    assert [fate for *_, fate in entries(three)] == ["counts", "repeat"]


@pytest.mark.parametrize("applied", [True, False])
def test_an_error_that_says_nothing_about_whether_it_was_written(three: Shop, applied: bool) -> None:
    from mlflow.exceptions import MlflowException

    client: Any = three.registry.connection.client
    failed: list[str] = []

    class Fails:
        def __getattr__(self, name: str) -> Any:
            method = getattr(client, name)
            if name != "create_model_version" or failed:
                return method

            def fail(*args: Any, **kwargs: Any) -> Any:
                if args[0] == LEDGER:
                    three.client.create_registered_model(LEDGER)
                    failed.append(name)
                    if applied:
                        method(*args, **kwargs)
                raise MlflowException("too many 500 error responses")

            return fail

    fails: Any = Fails()
    assert promote(three, "3", Registry(replace(three.registry.connection, client=fails))).outcome == "moved"
    assert [fate for *_, fate in entries(three)] == ["counts"]


# -- deleted and renamed -------------------------------------------------------------------------------------------


def test_a_deleted_champion_takes_its_alias_along(three: Shop) -> None:
    promote(three, "3")
    three.client.delete_model_version(MODEL, "3")
    assert deeds(settle(three)) == [
        "a move by hand was written down: champion -> nothing: version 3 was deleted, and the alias went with it"
    ]
    assert settle(three).standing.version is None
    assert promote(three, "2").outcome == "moved"
    assert serves(three) == "2"


def test_a_version_deleted_before_the_alias_got_to_it(three: Shop) -> None:
    with pytest.raises(Dead):
        promote(three, "3", dies_at(three, "set_registered_model_alias"))
    three.client.delete_model_version(MODEL, "3")
    settle(three)
    assert serves(three) == "1"
    assert entries(three)[-1] == ("hand-made", "3", "1", "counts")


@pytest.mark.parametrize("deleted", [["1"], ["2"], ["1", "2"]])
def test_deleted_entries(three: Shop, deleted: list[str]) -> None:
    """The alias stays, what came after does not count, and the first who looks says where the alias is."""
    promote(three, "3")
    promote(three, "2")
    promoter = LedgerPromotion(three.registry)
    generation = promoter.settle(MODEL, "champion").standing.generation
    pins = resolve(three)
    for number in deleted:
        three.client.delete_model_version(LEDGER, number)
    move = promoter.promote(pins, "champion", None, "d", RECORD, generation=generation)
    assert (move.outcome, serves(three)) == ("stale", "2")
    settled = settle(three)
    assert (settled.standing.version, settled.standing.broken_at) == ("2", None)
    if len(deleted) == 2:  # nothing is left to see that something is missing, until an entry is written
        assert promote(three, "3").outcome == "stale"
    assert promote(three, "3").outcome == "moved"
    assert serves(three) == "3"


def test_a_deleted_ledger_begins_anew(three: Shop) -> None:
    promote(three, "3")
    three.client.delete_registered_model(LEDGER)
    assert settle(three).standing.generation == 0
    assert promote(three, "2").entry == 1
    assert serves(three) == "2"


def test_a_renamed_model_begins_anew_or_goes_on_if_its_ledger_is_renamed_too(three: Shop) -> None:
    promote(three, "3")
    three.client.rename_registered_model(MODEL, "help-bot")
    assert Ledger(three.registry, "help-bot").settle("champion").standing.generation == 0
    three.client.rename_registered_model(LEDGER, ledger_name("help-bot"))
    settled = Ledger(three.registry, "help-bot").settle("champion")
    assert (settled.standing.generation, settled.standing.version, settled.deeds) == (1, "3", ())


def test_somebody_registers_a_model_in_the_ledger(three: Shop) -> None:
    promote(three, "3")
    three.client.create_model_version(LEDGER, "finetune-gate:/x", await_creation_for=0)
    assert promote(three, "2").entry == 3
    assert list(Ledger(three.registry, MODEL).read().fates.values()) == ["counts", "unreadable", "counts"]


# -- what people see, and what is kept from them -------------------------------------------------------------------


def test_an_entry_in_the_pages_of_mlflow(three: Shop) -> None:
    promote(three, "3")
    model = three.client.get_registered_model(LEDGER)
    assert model.description.startswith(f"Every move of an alias of registered model {MODEL}")
    assert model.tags == {"finetune_gate.ledger_of": MODEL}
    version = three.client.get_model_version(LEDGER, "1")
    assert version.run_id == "4f" * 16
    assert version.source == f"runs:/{'4f' * 16}/finetune_gate"
    lines = version.description.split("\n\n")
    assert lines[:2] == ["**Promotion** of support-bot, alias champion: version 1 -> version 3", "All passed\\."]
    assert lines[2].startswith("By octocat (github), 20")
    assert lines[4] == f"Record: `{RECORD}`, digest `dddddddddddd`."


def test_a_refusal_is_written_once(three: Shop) -> None:
    promoter = LedgerPromotion(three.registry, Author("octocat", "github"))
    for _ in range(2):
        promoter.note(resolve(three), "block", "<b>accuracy</b> is 0.61", RECORD, "d", generation=0)
    assert entries(three) == [("refusal", "1", "3", "refusal")]
    assert settle(three).deeds == ()
    version = three.client.get_model_version(LEDGER, "1")
    assert version.description.startswith("**Refusal**: version 3 of support-bot was not given alias champion\n\n")
    assert "block: \\<b\\>accuracy\\</b\\> is 0\\.61" in version.description


def test_a_ledger_is_not_gated_nor_listed(three: Shop) -> None:
    promote(three, "3")
    with pytest.raises(ConfigurationError, match="own lists, and holds no models"):
        three.registry.aliases(LEDGER)
    with pytest.raises(ConfigurationError, match="own lists, and holds no models"):
        three.registry.resolve(LEDGER, "1", downloads=three.downloads)
    with pytest.raises(ConfigurationError) as caught:
        three.registry.aliases("suport-bot")
    assert "ledger" not in str(caught.value)


def test_all_aliases_are_reconciled(three: Shop) -> None:
    assert reconcile(three.registry, MODEL) == {}
    promote(three, "3")
    promoter = LedgerPromotion(three.registry)
    promoter.promote(resolve(three, "2"), "shadow", None, "d", RECORD, expected=None, generation=0)
    three.alias("champion", "1")
    three.alias("shadow", "1")
    found = reconcile(three.registry, MODEL)
    assert {alias: settled.standing.version for alias, settled in found.items()} == {"champion": "1", "shadow": "1"}
    assert all(settled.deeds for settled in found.values())


def test_an_alias_that_never_settles(three: Shop) -> None:
    promote(three, "3")
    ledger = Ledger(three.registry, MODEL, patience_s=0.0)
    three.alias("champion", "2")
    with pytest.raises(RegistryError, match="not where its ledger says"):
        ledger.settle("champion")


# -- cost ----------------------------------------------------------------------------------------------------------


def test_how_many_calls_a_gate_makes(three: Shop) -> None:
    """Without other writers, once there is a ledger: what is not here is as it would be without one."""
    promote(three, "3")
    calls: Counter[str] = Counter()
    registry = watched(three, lambda name: calls.update([name]))
    promoter = LedgerPromotion(registry, Author("octocat", "github"))
    generation = promoter.settle(MODEL, "champion").standing.generation
    assert calls == {"search_model_versions": 1, "get_registered_model": 1}
    calls.clear()
    pins = resolve(three, "2")
    promoter.promote(pins, "champion", None, "d", RECORD, generation=generation)
    assert calls == {
        "search_model_versions": 2,  # before the entry is written, and after the alias is set
        "create_model_version": 1,
        "set_model_version_tag": 2,  # the intent, and that it is done
        "set_registered_model_alias": 1,
        "get_registered_model": 2,
        "get_model_version": 3,
    }
    calls.clear()
    promoter.note(resolve(three, "1"), "block", "No.", RECORD, "d", generation=2)
    assert calls["create_model_version"] == 1
    assert calls["search_model_versions"] == 0


def fill_ledger(shop: Shop, count: int) -> None:
    """Straight into the database: entries ``1..count``, a quarter of them moves."""
    import sqlite3
    from contextlib import closing

    shop.client.create_registered_model(LEDGER)
    versions: list[tuple[Any, ...]] = []
    tags: list[tuple[Any, ...]] = []
    generation, at = 0, "1"
    for number in range(1, count + 1):
        moves = number % 4 == 0
        to = "2" if at == "1" else "1"
        entry = Entry(
            id=f"{number:032x}", kind="promotion" if moves else "refusal", alias="champion", before=at, after=to,
            generation=generation, seen=number - 1, actor="octocat", trigger="github", decision_digest="d" * 64,
            record_uri=RECORD, reason="All 5 blocking rules passed. " * 5, at="2026-01-01T00:00:00+00:00",
        )  # fmt: skip
        versions.append((LEDGER, number, 1, 1, "x" * 400))
        tags.append((LEDGER, number, "finetune_gate.ledger", entry.model_dump_json()))
        if moves:
            generation, at = number, to
            tags.append((LEDGER, number, SETTING_TAG + entry.id, DONE))
    with closing(sqlite3.connect(shop.database)) as database:
        database.executemany(
            "insert into model_versions (name, version, creation_time, last_updated_time, description, current_stage, "
            "source, status) values (?, ?, ?, ?, ?, 'None', 'finetune-gate:/ledger', 'READY')",
            versions,
        )
        database.executemany("insert into model_version_tags (name, version, key, value) values (?, ?, ?, ?)", tags)
        database.execute(
            "insert or replace into registered_model_aliases (alias, version, name) values ('champion', ?, ?)",
            (int(at), MODEL),
        )
        database.commit()


def test_a_ledger_of_a_thousand_entries(three: Shop, record_property: Callable[[str, object], None]) -> None:
    fill_ledger(three, 1000)
    calls: Counter[str] = Counter()
    registry = watched(three, lambda name: calls.update([name]))
    begun = time.monotonic()
    settled = Ledger(registry, MODEL).settle("champion")
    took = time.monotonic() - begun
    record_property("settle_s", took)
    assert calls["search_model_versions"] == 4
    assert (settled.standing.generation, settled.deeds) == (1000, ())
    assert took < 30
    assert promote(three, "3").outcome == "moved"
    print(json.dumps({"entries": 1000, "settle_s": round(took, 3)}))
