"""How people name a version, and what they are told when there is no such thing."""

from __future__ import annotations

import doctest
import importlib

import pytest
from registry_shop import MODEL, Shop

from finetune_gate.evaluators.errors import ConfigurationError, RegistryError
from finetune_gate.gate.registry.registered import Spelling, parse_spelling


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", Spelling("version", "7")),
        ("v7", Spelling("version", "7")),
        ("V007", Spelling("version", "7")),
        (" 12 ", Spelling("version", "12")),
        ("models:/support-bot/7", Spelling("version", "7")),
        ("models:/support-bot/v7", Spelling("version", "7")),
        ("models:/support-bot@staging", Spelling("alias", "staging")),
        ("@staging", Spelling("alias", "staging")),
        ("staging", Spelling("alias", "staging")),
        ("@7", Spelling("alias", "7")),
        ("latest", Spelling("latest")),
        ("Latest", Spelling("latest")),
        ("models:/support-bot/latest", Spelling("latest")),
    ],
)
def test_spellings(text: str, expected: Spelling) -> None:
    assert parse_spelling(text, MODEL) == expected


@pytest.mark.parametrize("module", ["artifacts", "hub_cache", "registered", "tracking"])
def test_the_examples_in_docstrings(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"finetune_gate.gate.registry.{module}"))
    assert (found.failed, found.attempted > 0) == (0, True)


def test_a_model_name_may_hold_an_at_sign() -> None:
    assert parse_spelling("models:/team@bot@champion", "team@bot") == Spelling("alias", "champion")
    assert parse_spelling("models:/team@bot/3", "team@bot") == Spelling("version", "3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "models:/other-bot/3",
            "candidate 'models:/other-bot/3': it does not name a version of registered model 'support-bot'\n"
            "  expected: a version (7 or v7), latest, @alias, models:/support-bot/7 or models:/support-bot@alias\n"
            "  way out:  name a version of 'support-bot', or use the gate file of the other model",
        ),
        (
            "models:/support-bot-2/3",
            "candidate 'models:/support-bot-2/3': it does not name a version of registered model 'support-bot'\n"
            "  expected: a version (7 or v7), latest, @alias, models:/support-bot/7 or models:/support-bot@alias\n"
            "  way out:  name a version of 'support-bot', or use the gate file of the other model",
        ),
        (
            "models:/m-0b4f0b4f0b4f0b4f0b4f0b4f0b4f0b4f",
            "candidate 'models:/m-0b4f0b4f0b4f0b4f0b4f0b4f0b4f0b4f': it does not name a version of registered model"
            " 'support-bot'\n"
            "  expected: a version (7 or v7), latest, @alias, models:/support-bot/7 or models:/support-bot@alias\n"
            "  way out:  name a version of 'support-bot', or use the gate file of the other model",
        ),
        (
            "7; rm -rf /",
            "candidate '7; rm -rf /': that is not how a version is named\n"
            "  expected: a version (7 or v7), latest, @alias, models:/support-bot/7 or models:/support-bot@alias\n"
            "  way out:  name one version of 'support-bot'",
        ),
        (
            "",
            "candidate '': that is not how a version is named\n"
            "  expected: a version (7 or v7), latest, @alias, models:/support-bot/7 or models:/support-bot@alias\n"
            "  way out:  name one version of 'support-bot'",
        ),
    ],
)
def test_not_a_spelling(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_spelling(text, MODEL)
    assert str(caught.value) == message


def test_each_spelling_finds_its_version(shop: Shop) -> None:
    folder = shop.folder(1)
    for _ in range(11):
        shop.register(folder)
    shop.alias("staging", "9")
    found = {
        text: shop.registry.pick(MODEL, text)
        for text in ("2", "v2", "models:/support-bot/2", "@staging", "staging", "models:/support-bot@staging", "latest")
    }
    assert {text: (version.version, origin) for text, (version, origin) in found.items()} == {
        "2": ("2", "version 2"),
        "v2": ("2", "version 2"),
        "models:/support-bot/2": ("2", "version 2"),
        "@staging": ("9", "alias @staging"),
        "staging": ("9", "alias @staging"),
        "models:/support-bot@staging": ("9", "alias @staging"),
        "latest": ("11", "latest version"),  # in text order it would be 9
    }
    assert [version.version for version in shop.registry.versions(MODEL)] == [str(number) for number in range(1, 12)]


@pytest.mark.parametrize(
    ("model", "text", "message"),
    [
        (
            MODEL,
            "7",
            "candidate '7': registered model 'support-bot' has no version 7\n"
            "  expected: one of versions 1, 2, 3; aliases: @champion (version 1)\n"
            "  way out:  name one that exists, or register the model first",
        ),
        (
            MODEL,
            "@champoin",
            "candidate '@champoin': registered model 'support-bot' has no alias 'champoin'\n"
            "  expected: one of versions 1, 2, 3; aliases: @champion (version 1)\n"
            "  way out:  did you mean '@champion'?",
        ),
        (
            "suport-bot",
            "7",
            "model 'suport-bot': MLflow at {uri} has no registered model of that name\n"
            "  expected: one of 'empty', 'support-bot'\n"
            "  way out:  did you mean 'support-bot'?",
        ),
        (
            "zzz",
            "latest",
            "model 'zzz': MLflow at {uri} has no registered model of that name\n"
            "  expected: one of 'empty', 'support-bot'\n"
            "  way out:  correct `model:` in the gate file, or set MLFLOW_TRACKING_URI to the registry that holds it",
        ),
        (
            "empty",
            "latest",
            "candidate 'latest': registered model 'empty' has no versions\n"
            "  expected: a registered version, and there are none\n"
            "  way out:  name one that exists, or register the model first",
        ),
    ],
)
def test_what_is_not_there_is_said_with_what_is(three: Shop, model: str, text: str, message: str) -> None:
    three.client.create_registered_model("empty")
    with pytest.raises(ConfigurationError) as caught:
        three.registry.resolve(model, text, downloads=three.downloads)
    assert str(caught.value) == message.format(uri=three.uri)
    assert caught.value.exit_status == 2


def test_many_versions_are_not_all_listed(shop: Shop) -> None:
    folder = shop.folder(1)
    for _ in range(12):
        shop.register(folder)
    with pytest.raises(ConfigurationError, match="one of 12 versions, the newest 12, 11, 10, 9, 8; there are no alia"):
        shop.registry.pick(MODEL, "99")


def test_a_version_that_is_not_ready(shop: Shop) -> None:
    import sqlite3

    shop.register(shop.folder(1), tags={"base_model": "x"})
    with sqlite3.connect(shop.database) as database:
        database.execute("update model_versions set status='FAILED_REGISTRATION', status_message='disk full'")
    with pytest.raises(RegistryError) as caught:
        shop.registry.resolve(MODEL, "1", downloads=shop.downloads)
    assert str(caught.value) == (
        "support-bot v1: its status is FAILED_REGISTRATION: disk full\n"
        "  expected: READY\n"
        "  way out:  wait until MLflow has finished registering it, or register it again"
    )


def test_files_that_are_not_on_this_machine(shop: Shop) -> None:
    version = shop.register(shop.folder(1))
    source = shop.registry.version(MODEL, version).source
    (shop.root / "store").rename(shop.root / "elsewhere")
    with pytest.raises(RegistryError) as caught:
        shop.registry.resolve(MODEL, version, downloads=shop.downloads)
    assert str(caught.value) == (
        f"files at {source}: there is no such folder on this machine\n"
        "  expected: a folder this machine can read, or files that the MLflow server hands out\n"
        "  way out:  run where that folder is, or start the server with --artifacts-destination"
    )
