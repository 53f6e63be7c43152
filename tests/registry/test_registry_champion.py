"""The champion to judge against: by alias, by version, absent, and after a run that was killed while promoting."""

from __future__ import annotations

import pytest
from registry_shop import MODEL, Shop

from finetune_gate.evaluators.errors import ConfigurationError, RegistryError
from finetune_gate.gate.pins import Pins, identical_baselines
from finetune_gate.gate.registry.registered import INTENT_TAG, Intent


def resolve(shop: Shop, candidate: str, champion: str | None = "@champion") -> Pins:
    return shop.registry.resolve(MODEL, candidate, champion=champion, downloads=shop.downloads)


def intend(shop: Shop, version: str, before: str | None, published: bool = False) -> None:
    intent = Intent("champion", before, version, None, "sha256:1", "runs:/1/record.json", published)
    shop.client.set_model_version_tag(MODEL, version, INTENT_TAG, intent.to_tag())


def test_by_alias(three: Shop) -> None:
    pins = resolve(three, "3")
    assert pins.champion is not None
    assert (pins.champion.role, pins.champion.version, pins.champion.origin) == ("champion", "1", "alias @champion")
    assert pins.champion_note == ""
    assert (pins.candidate.version, pins.candidate.origin) == ("3", "version 3")
    assert len({pin.files.digest for pin in pins.roles()}) == 3
    assert identical_baselines(pins) == ()


@pytest.mark.parametrize("spelling", ["2", "v2", "models:/support-bot/2"])
def test_by_version(three: Shop, spelling: str) -> None:
    pins = resolve(three, "3", spelling)
    assert pins.champion is not None
    assert (pins.champion.version, pins.champion.origin) == ("2", "version 2")


def test_none_asked_for(three: Shop) -> None:
    pins = resolve(three, "3", None)
    assert (pins.champion, pins.champion_note) == (None, "no champion asked for: judged against its base alone")


def test_first_model(shop: Shop) -> None:
    shop.register(shop.folder(1), tags={"base_model": str(shop.folder(0))})
    pins = resolve(shop, "1")
    assert pins.champion is None
    assert pins.champion_note == "model support-bot has no alias 'champion' yet: judged against its base alone"


def test_a_version_that_is_not_there(three: Shop) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(three, "3", "8")
    assert str(caught.value) == (
        "champion '8': registered model 'support-bot' has no version 8\n"
        "  expected: one of versions 1, 2, 3; aliases: @champion (version 1)\n"
        "  way out:  name one that exists, or register the model first"
    )


def test_the_candidate_is_the_champion(three: Shop) -> None:
    pins = resolve(three, "1")
    assert pins.champion is not None
    assert pins.champion.version == "1"
    assert identical_baselines(pins) == ("champion",)


def test_the_champion_registered_once_more(three: Shop) -> None:
    version = three.register(three.folder(1), via="logged_model", tags=three.tags("1"))
    assert identical_baselines(resolve(three, version)) == ("champion",)


def test_after_an_interrupted_promotion(three: Shop) -> None:
    decided_on = resolve(three, "3")
    intend(three, "3", before="1")
    assert resolve(three, "3") == decided_on  # killed before the move
    three.alias("champion", "3")
    assert resolve(three, "3") == decided_on  # killed after it
    intend(three, "3", before="1", published=True)
    assert resolve(three, "3") == decided_on  # not killed at all, and judged once more


def test_after_an_interrupted_promotion_of_a_first_model(three: Shop) -> None:
    intend(three, "3", before=None)
    three.alias("champion", "3")
    pins = resolve(three, "3")
    assert pins.champion is None
    assert pins.champion_note == "model support-bot has no alias 'champion' yet: judged against its base alone"


def test_somebody_elses_move_after_the_interrupted_one_counts(three: Shop) -> None:
    intend(three, "3", before="1")
    three.alias("champion", "2")
    pins = resolve(three, "3")
    assert pins.champion is not None
    assert (pins.champion.version, pins.champion.origin) == ("2", "alias @champion")


def test_an_intent_for_another_alias_does_not_count(three: Shop) -> None:
    intend(three, "3", before="1")
    three.alias("staging", "3")
    three.alias("champion", "2")
    pins = resolve(three, "3", "@staging")
    assert pins.champion is not None
    assert pins.champion.version == "3"


def test_the_champion_before_is_gone(three: Shop) -> None:
    intend(three, "3", before="1")
    three.alias("champion", "3")
    three.client.delete_model_version(MODEL, "1")
    with pytest.raises(RegistryError) as caught:
        resolve(three, "3")
    assert str(caught.value) == (
        "tag 'finetune_gate.promotion' of support-bot v3: "
        "an interrupted run moved alias 'champion' here from version 1, which is gone\n"
        "  expected: the version it was judged against\n"
        "  way out:  delete that tag to judge against what the alias points to now"
    )


def test_what_the_champion_replaced_is_gone(three: Shop) -> None:
    intend(three, "3", before="1", published=True)
    three.alias("champion", "3")
    three.client.delete_model_version(MODEL, "1")
    assert identical_baselines(resolve(three, "3")) == ("champion",)


@pytest.mark.parametrize("tag", ["{}", "nonsense", "[1]", '{"alias": "champion", "to": "3", "from": 1}', "[" * 10_000])
def test_an_intent_that_somebody_wrote_over(three: Shop, tag: str) -> None:
    three.client.set_model_version_tag(MODEL, "3", INTENT_TAG, tag)
    with pytest.raises(RegistryError, match="what a promotion wrote"):
        resolve(three, "3")
