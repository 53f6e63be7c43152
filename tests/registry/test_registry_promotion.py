"""Moving the alias: once, on fresh grounds, read back, and taken up again after a kill at any point."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from registry_shop import MODEL, Shop, fill

from finetune_gate.evaluators.errors import ConfigurationError, RegistryError
from finetune_gate.gate.pins import Pins
from finetune_gate.gate.registry import Ledger, Registry
from finetune_gate.gate.registry.promotion import LedgerPromotion, Move, Promoter
from finetune_gate.gate.registry.registered import INTENT_TAG, Intent

RECORD = "runs:/4f0c/finetune_gate/record.json"
REASON = "All 5 blocking rules passed."
WRITES = ("set_", "create_", "delete_", "transition_", "update_")


def resolve(shop: Shop, candidate: str = "3", champion: str | None = "@champion") -> Pins:
    return shop.registry.resolve(MODEL, candidate, champion=champion, downloads=shop.downloads)


def state(shop: Shop) -> dict[str, Any]:
    """All that a promotion may change."""
    return {
        "aliases": shop.registry.aliases(MODEL),
        "stages": {version.version: version.stage for version in shop.registry.versions(MODEL)},
        "tags": {version.version: dict(version.tags) for version in shop.registry.versions(MODEL)},
    }


def whole_promotion(registry: Registry, pins: Pins, stage: str | None) -> Move:
    promoter: Promoter = LedgerPromotion(registry)
    move = promoter.promote(pins, "champion", stage, "sha256:d", RECORD)
    promoter.note(pins, "promote", REASON, RECORD, "sha256:d", "2026-01-02T03:04:05+00:00")
    promoter.finish(pins)
    return move


class Killed(BaseException):
    """As if the process had ended here."""


class Proxy:
    """A client in between, that does something before or after writes."""

    def __init__(self, client: Any, around: Callable[[str, Callable[[], Any]], Any]) -> None:
        self._client, self._around = client, around

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not name.startswith(WRITES):
            return found
        return lambda *args, **kwargs: self._around(name, lambda: found(*args, **kwargs))


def through(registry: Registry, around: Callable[[str, Callable[[], Any]], Any]) -> Registry:
    client: Any = Proxy(registry.connection.client, around)
    return Registry(replace(registry.connection, client=client))


def test_a_promotion(three: Shop) -> None:
    move = whole_promotion(three.registry, resolve(three), stage=None)
    assert move == Move(
        outcome="moved",
        alias="champion",
        before="1",
        after="3",
        stage_before=None,
        stage_after=None,
        detail="alias 'champion' of support-bot: version 1 -> version 3",
        entry=1,
    )
    found = state(three)
    assert found["aliases"] == {"champion": "3"}
    assert found["stages"] == {"1": "Production", "2": "None", "3": "None"}
    assert published(three, "3")
    assert {key: value for key, value in found["tags"]["3"].items() if key not in ("base_model", INTENT_TAG)} == {
        "finetune_gate.decision": "promote",
        "finetune_gate.reason": REASON,
        "finetune_gate.record": RECORD,
        "finetune_gate.record_digest": "sha256:d",
        "finetune_gate.decided_at": "2026-01-02T03:04:05+00:00",
    }


def test_with_a_legacy_stage(three: Shop, recwarn: pytest.WarningsRecorder) -> None:
    move = whole_promotion(three.registry, resolve(three), stage="Production")
    assert (move.outcome, move.stage_before, move.stage_after) == ("moved", "None", "Production")
    assert move.detail == "alias 'champion' of support-bot: version 1 -> version 3; stage None -> Production"
    assert state(three)["stages"] == {"1": "Archived", "2": "None", "3": "Production"}
    assert [str(warning.message) for warning in recwarn if warning.category is FutureWarning] == []


def test_a_first_model(three: Shop) -> None:
    three.client.delete_registered_model_alias(MODEL, "champion")
    move = whole_promotion(three.registry, resolve(three), stage=None)
    assert (move.outcome, move.before, move.after) == ("moved", None, "3")
    assert move.detail == "alias 'champion' of support-bot: nothing -> version 3"


def published(shop: Shop, version: str) -> bool:
    intent = Intent.of(shop.registry.version(MODEL, version))
    return intent is not None and intent.published


def test_twice_is_once(three: Shop) -> None:
    pins = resolve(three)
    whole_promotion(three.registry, pins, stage="Production")
    once = state(three)
    writes: list[str] = []

    def count(name: str, write: Callable[[], Any]) -> Any:
        writes.append(name)
        return write()

    move = whole_promotion(through(three.registry, count), pins, stage="Production")
    assert (move.outcome, move.before, move.after) == ("already_there", "1", "3")
    assert state(three) == once
    assert writes == []


@pytest.mark.parametrize("first_model", [False, True])
def test_judged_on_stale_grounds(three: Shop, first_model: bool) -> None:
    if first_model:
        three.client.delete_registered_model_alias(MODEL, "champion")
    pins = resolve(three)
    three.alias("champion", "2")
    before = state(three)
    move = LedgerPromotion(three.registry).promote(pins, "champion", "Production", "sha256:d", RECORD)
    then = "nothing" if first_model else "version 1"
    assert move == Move(
        outcome="stale",
        alias="champion",
        before="2",
        after="2",
        stage_before="None",
        stage_after="None",
        detail="alias 'champion' of support-bot points to version 2 now; "
        f"this run was judged when it pointed to {then}",
    )
    assert state(three) == before


def test_the_alias_was_removed_meanwhile(three: Shop) -> None:
    pins = resolve(three)
    three.client.delete_registered_model_alias(MODEL, "champion")
    move = LedgerPromotion(three.registry).promote(pins, "champion", None, "sha256:d", RECORD)
    assert (move.outcome, move.before) == ("stale", None)
    assert "points to nothing now; this run was judged when it pointed to version 1" in move.detail


@pytest.mark.parametrize(("expected", "outcome"), [("1", "moved"), (None, "stale"), ("2", "stale")])
def test_a_champion_that_is_not_behind_the_promotion_alias(three: Shop, expected: str | None, outcome: str) -> None:
    pins = resolve(three, champion=None)
    move = LedgerPromotion(three.registry).promote(pins, "champion", None, "d", RECORD, expected=expected)
    assert move.outcome == outcome


def test_a_decision_not_to_promote(three: Shop) -> None:
    promoter = LedgerPromotion(three.registry)
    promoter.note(resolve(three), "block", "accuracy\x1b[31m is\n0.61\u202e; " + "x" * 600, RECORD, "sha256:e")
    promoter.finish(resolve(three))
    tags = three.tags("3")
    assert tags["finetune_gate.decision"] == "block"
    assert tags["finetune_gate.reason"].startswith("accuracy [31m is 0.61 ; xxx")
    assert len(tags["finetune_gate.reason"]) == 500
    assert "finetune_gate.decided_at" not in tags
    assert INTENT_TAG not in tags
    assert three.registry.alias_version(MODEL, "champion") == "1"


def test_an_unknown_stage_moves_nothing(three: Shop) -> None:
    before = state(three)
    with pytest.raises(ConfigurationError, match="one of Staging, Production, Archived"):
        LedgerPromotion(three.registry).promote(resolve(three), "champion", "Live", "sha256:d", RECORD)
    assert state(three) == before


# -- killed --------------------------------------------------------------------------------------------------------

# the ledger is not there, made, written to; intent, alias, stage, done; five tags of the decision, end of the intent
ALL_WRITES = 3 + 4 + 5 + 1
UNTIL_WRITTEN = 3


@pytest.mark.parametrize(("first_model", "points"), [(False, range(ALL_WRITES + 1)), (True, range(1, 7))])
def test_killed_between_any_two_writes(three: Shop, first_model: bool, points: range) -> None:
    """After each number of writes: the repeated run is judged against the same champion and ends in the same state."""
    if first_model:
        three.client.delete_registered_model_alias(MODEL, "champion")
    uninterrupted = resolve(three)
    at_first = three.root / "at-first.db"
    fill(at_first, three.database)
    whole_promotion(three.registry, uninterrupted, stage="Production")
    finished = state(three)

    for after in points:
        fill(three.database, at_first)
        left = [after]

        def kill(name: str, write: Callable[[], Any], left: list[int] = left) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return write()

        try:
            whole_promotion(through(three.registry, kill), uninterrupted, stage="Production")
            killed = False
        except Killed:
            killed = True
        assert killed == (after < ALL_WRITES)
        if killed:
            assert three.registry.alias_version(MODEL, "champion") in (None if first_model else "1", "3")
            LedgerPromotion(three.registry).settle(MODEL, "champion")
            again = resolve(three)
            assert again.champion == uninterrupted.champion or (
                again.champion is not None
                and uninterrupted.champion is not None
                and (again.champion.version, again.champion.files)
                == (uninterrupted.champion.version, uninterrupted.champion.files)
            )
            move = whole_promotion(three.registry, again, stage="Production")
            assert (move.before, move.after) == (None if first_model else "1", "3")
            assert (move.stage_before, move.stage_after) == ("None", "Production")
            assert move.outcome == ("moved" if after < UNTIL_WRITTEN else "already_there")
        assert state(three) == finished
        moves = Ledger(three.registry, MODEL).read()
        assert [moves.fates[row.number] for row in moves.rows] == ["counts"]
        assert moves.rows[0].done


KILLED_PROCESS = """
import os, sys
from dataclasses import replace
from pathlib import Path
from finetune_gate.gate.registry.promotion import LedgerPromotion
from finetune_gate.gate.registry import Registry

registry = Registry.connect(sys.argv[1])
pins = registry.resolve("support-bot", "3", downloads=Path(sys.argv[2]))
client = registry.connection.client

class Dies:
    def __getattr__(self, name):
        if name == "transition_model_version_stage":
            os._exit(9)
        return getattr(client, name)

registry = Registry(replace(registry.connection, client=Dies()))
LedgerPromotion(registry).promote(pins, "champion", "Production", "sha256:d", "runs:/1/r.json")
"""


@pytest.mark.slow
def test_a_process_that_ends_between_alias_and_stage(three: Shop) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_PROCESS, three.uri, str(three.downloads)],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 9
    assert (done.stdout, done.stderr) == (b"", b"")
    assert three.registry.alias_version(MODEL, "champion") == "3"
    assert three.registry.version(MODEL, "3").stage == "None"
    pins = resolve(three)
    assert pins.champion is not None
    assert pins.champion.version == "1"
    move = whole_promotion(three.registry, pins, stage="Production")
    assert (move.outcome, move.before, move.stage_before) == ("already_there", "1", "None")
    assert state(three)["stages"] == {"1": "Archived", "2": "None", "3": "Production"}
    assert published(three, "3")
    assert Ledger(three.registry, MODEL).read().rows[0].done


# -- a registry that does not do as it says ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dropped", "message"),
    [
        (
            "set_registered_model_alias",
            "alias 'champion' of support-bot: '1' after '3' was written (before: '1')\n"
            "  expected: '3'\n"
            "  way out:  another writer, or a server that drops writes: see who moved it, and run again",
        ),
        (
            "transition_model_version_stage",
            "stage of support-bot v3: 'None' after 'Production' was written (before: 'None')\n"
            "  expected: 'Production'\n"
            "  way out:  another writer, or a server that drops writes: see who moved it, and run again",
        ),
    ],
)
def test_a_write_that_is_dropped(three: Shop, dropped: str, message: str) -> None:
    registry = through(three.registry, lambda name, write: None if name == dropped else write())
    with pytest.raises(RegistryError) as caught:
        LedgerPromotion(registry, deadline_s=0.2).promote(resolve(three), "champion", "Production", "d", RECORD)
    assert str(caught.value) == message


def test_tags_that_are_dropped(three: Shop) -> None:
    registry = through(three.registry, lambda name, write: None if name == "set_model_version_tag" else write())
    with pytest.raises(RegistryError, match=r"^tags of support-bot v3: \{'finetune_gate.decision': None, "):
        LedgerPromotion(registry, deadline_s=0.2).note(resolve(three), "hold", REASON, RECORD, "d")


def test_an_intent_that_stays(three: Shop) -> None:
    tag = Intent("champion", "1", "3", None, "d", RECORD).to_tag()
    three.client.set_model_version_tag(MODEL, "3", INTENT_TAG, tag)
    registry = through(three.registry, lambda name, write: None)
    with pytest.raises(RegistryError, match=r"tags of support-bot v3: .*published.* was written"):
        LedgerPromotion(registry, deadline_s=0.2).finish(resolve(three))


def test_a_write_that_is_seen_late(three: Shop) -> None:
    """As with a replica behind: the write comes through while it is being read back."""
    late: list[Callable[[], Any]] = []
    registry = through(
        three.registry, lambda name, write: late.append(write) if name == "set_registered_model_alias" else write()
    )
    reads = [0]
    read = registry.alias_version

    def slowly(model: str, alias: str) -> str | None:
        reads[0] += 1
        if reads[0] == 4:
            late.pop()()
        return read(model, alias)

    registry.alias_version = slowly  # pyright: ignore[reportAttributeAccessIssue]
    assert LedgerPromotion(registry).promote(resolve(three), "champion", None, "d", RECORD).outcome == "moved"


def test_another_run_wins_the_race_for_the_first_alias(three: Shop) -> None:
    """MLflow refuses one of two first writers; if both wanted the same version, that is no error."""
    from mlflow.exceptions import MlflowException

    def refuse(name: str, write: Callable[[], Any]) -> Any:
        result = write()
        if name == "set_registered_model_alias":
            raise MlflowException("BAD_REQUEST: (sqlite3.IntegrityError) UNIQUE constraint failed")
        return result

    move = LedgerPromotion(through(three.registry, refuse)).promote(resolve(three), "champion", None, "d", RECORD)
    assert move.outcome == "moved"


def test_another_run_wins_the_race_for_another_version(three: Shop) -> None:
    from mlflow.exceptions import MlflowException

    def refuse(name: str, write: Callable[[], Any]) -> Any:
        if name == "set_registered_model_alias":
            raise MlflowException("BAD_REQUEST: (sqlite3.IntegrityError) UNIQUE constraint failed")
        return write()

    promotion = LedgerPromotion(through(three.registry, refuse))
    with pytest.raises(RegistryError, match="UNIQUE constraint failed"):
        promotion.promote(resolve(three), "champion", None, "d", RECORD)
