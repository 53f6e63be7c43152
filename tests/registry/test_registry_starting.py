"""What `finetune-gate init` finds in a real registry, and writes."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from registry_shop import MODEL, Shop, open_shop

from finetune_gate.evaluators.errors import ConfigurationError, FinetuneGateError, RegistryError
from finetune_gate.flows.cli.program import program
from finetune_gate.gate.registry.own_models import own_name
from finetune_gate.gate.starting import look_at_registry

MLMODEL = "flavors:\n  python_function: {{loader_module: mlflow.{0}}}\n  {0}: {{{1}}}\n"


def version_folder(shop: Shop, name: str, files: dict[str, str]) -> Path:
    folder = shop.root / name
    for file, content in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("files", "kind", "claims"),
    [
        ({"MLmodel": MLMODEL.format("sklearn", "")}, "sklearn", ()),
        ({"MLmodel": "flavors: {python_function: {loader_module: mine}}"}, "pyfunc", ()),
        (
            {"MLmodel": MLMODEL.format("openai", "data: model.yaml"), "model.yaml": "model: ft:gpt-4o-mini:acme::B7"},
            "openai",
            ("the model's own files says 'openai:/gpt-4o-mini'",),
        ),
        (
            {"MLmodel": MLMODEL.format("transformers", "source_model_name: acme/base")},
            "transformers",
            ("the model's own files says 'acme/base'",),
        ),
        (
            {
                "MLmodel": MLMODEL.format("transformers", "source_model_name: acme/base"),
                "peft/adapter_config.json": '{"base_model_name_or_path": "acme/other"}',
            },
            "peft",
            ("the model's own files says 'acme/other'",),
        ),
        (
            {"config.json": '{"_name_or_path": "acme/base"}'},
            "transformers",
            ("the model's own files says 'acme/base'",),
        ),
        ({"config.json": "{"}, "unknown", ()),
        ({"MLmodel": "flavors: !!python/object:os.system {}"}, "unknown", ()),
        ({"weights.txt": "?"}, "unknown", ()),
    ],
    ids=["sklearn", "pyfunc", "openai", "transformers", "adapter", "folder", "no_json", "hostile", "nothing"],
)
def test_the_newest_version_is_told_by_its_small_files(
    shop: Shop, files: dict[str, str], kind: str, claims: tuple[str, ...]
) -> None:
    shop.register(shop.folder(1))
    shop.register(version_folder(shop, "newest", files))
    found = look_at_registry(shop.uri, None)
    assert (found.name, found.version, found.kind, found.claims, found.leads) == (
        MODEL, "2", kind, claims, claims if kind == "openai" else (),
    )  # fmt: skip
    assert ("files could not be read" in found.note) == (kind == "unknown" and "weights.txt" not in files)


def test_what_names_the_base_is_followed_as_far_as_a_run_would(shop: Shop) -> None:
    base = shop.folder(0)
    shop.register(shop.folder(1, adapter=True, base_claim="acme/nowhere"), tags={"base_model": str(base)})
    found = look_at_registry(shop.uri, MODEL)
    assert found.kind == "peft"
    assert found.leads == (f"version tag 'base_model' says {str(base)!r}",)
    assert len(found.claims) == 2
    assert found.base_note.startswith("found: version tag")


def test_aliases_and_stages_are_told(three: Shop) -> None:
    found = look_at_registry(three.uri, None)
    assert (found.version, dict(found.aliases), dict(found.stages)) == ("3", {"champion": "1"}, {"1": "Production"})
    assert found.champion_note == "now version 1"


def test_which_model_is_never_guessed(shop: Shop) -> None:
    with pytest.raises(ConfigurationError, match="has no models"):
        look_at_registry(shop.uri, None)
    shop.client.create_registered_model(own_name("ledger", MODEL))
    shop.client.create_registered_model("first")
    assert look_at_registry(shop.uri, None).name == "first"
    shop.client.create_registered_model("second")
    with pytest.raises(ConfigurationError, match="has 2 registered models: 'first', 'second'"):
        look_at_registry(shop.uri, None)
    with pytest.raises(ConfigurationError, match="did you mean 'second'"):
        look_at_registry(shop.uri, "secnd")
    assert look_at_registry(shop.uri, "second").version is None


def test_files_that_a_server_hands_out_are_read_without_the_weights(server: str, tmp_path: Path) -> None:
    shop = open_shop(server, tmp_path, experiment="starting")
    shop.register(version_folder(shop, "one", {"MLmodel": MLMODEL.format("sklearn", ""), "model.pkl": "x" * 100}), "s")
    shop.register(shop.folder(2, adapter=True, base_claim="acme/nowhere"), "p")
    assert (look_at_registry(server, "s").kind, look_at_registry(server, "p").kind) == ("sklearn", "peft")


def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    for uri in ("http://127.0.0.1:9", f"sqlite:///{tmp_path / 'none.db'}"):
        with pytest.raises(RegistryError):
            look_at_registry(uri, None)
    assert not list(tmp_path.iterdir())


# --- the command


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def init(folder: Path, *arguments: str, uri: str = "") -> Done:
    """The real command, in this process: another would take seconds to import MLflow anew."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    if uri:
        os.environ["MLFLOW_TRACKING_URI"] = uri
    with contextlib.chdir(folder):
        found = CliRunner().invoke(program, ["init", *arguments], standalone_mode=False)
    error = found.exception
    if error is not None and not isinstance(error, FinetuneGateError):
        raise error
    return Done(error.exit_status if error else 0, found.stdout, str(error or ""))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    (folder / "data").mkdir(parents=True)
    rows = [{"id": str(at), "text": f"ticket {at}", "label": ("bug", "billing")[at % 2]} for at in range(40)]
    for name in ("holdout", "train"):
        (folder / "data" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def found_by(done: Done) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_command_tells_machines_what_it_found(three: Shop, folder: Path) -> None:
    found = found_by(init(folder, "--json", uri=three.uri))
    assert (found["model"], found["registry"]["version"], found["registry"]["kind"]) == (MODEL, "3", "transformers")
    assert (found["taken_for"], found["evaluators"]) == ("classification", ["classification", "perplexity"])
    assert found["next"] == [
        "finetune-gate check gate.yaml",
        "finetune-gate doctor gate.yaml",
        "finetune-gate plan gate.yaml --version 3",
        "finetune-gate run gate.yaml --version 3 --dry-run",
        "finetune-gate run gate.yaml --version 3",
    ]
    assert found["remarks"][0].startswith("data/holdout.jsonl was taken for what is held out, by its name")
    assert "--train data/train.jsonl" in found["remarks"][-1]
    assert "now version 1" in (folder / "gate.yaml").read_text()


def test_the_command_says_it_to_people_and_names_the_address_that_was_given(three: Shop, folder: Path) -> None:
    done = init(folder, "a gate.yaml", "--tracking-uri", three.uri, "--train", "data/train.jsonl")
    assert done.returncode == 0, done.stderr
    assert "newest version at" in done.stdout
    assert "40 of 40 examples of holdout lie in train: the gate will block" in done.stdout
    last = f"  finetune-gate run 'a gate.yaml' --version 3 --tracking-uri {three.uri}"
    assert done.stdout.splitlines()[-1] == last


@pytest.mark.parametrize(
    ("arguments", "uri", "said"),
    [
        ((), "http://127.0.0.1:9", "the registry could not be looked at: MLflow at http://127.0.0.1:9"),
        ((), "", "MLFLOW_TRACKING_URI is not set, so no registry was looked at"),
        (("--model", "a: b # c"), "", "MLFLOW_TRACKING_URI is not set, so no registry was looked at"),
    ],
)
def test_without_a_registry_the_file_is_written_and_says_so(
    folder: Path, arguments: tuple[str, ...], uri: str, said: str
) -> None:
    found = found_by(init(folder, "--json", *arguments, uri=uri))
    assert found["registry"] is None
    assert found["registry_unknown"].startswith(said)
    assert found["model"] == (arguments[1] if arguments else "my-model")
    assert said in " ".join((folder / "gate.yaml").read_text().replace("\n#", "").split())
    assert found["next"][-1] == "finetune-gate run gate.yaml --version latest"


def test_a_model_that_nobody_registered_is_said_and_written(three: Shop, folder: Path) -> None:
    found = found_by(init(folder, "--json", "--model", "suport-bot", uri=three.uri))
    assert "did you mean 'support-bot'?" in found["registry_unknown"]
    assert found["model"] == "suport-bot"


def test_nothing_is_written_where_something_is_wrong(three: Shop, folder: Path) -> None:
    three.client.create_registered_model("another")
    for arguments in ((), ("--data", "data/none.jsonl", "--model", MODEL), ("--train", "none.csv", "--model", MODEL)):
        done = init(folder, *arguments, uri=three.uri)
        assert done.returncode == 2, done.stdout
        assert not (folder / "gate.yaml").exists()
