"""What the candidate was fine-tuned from: told by the gate file, or claimed by tags, runs and files."""

from __future__ import annotations

from pathlib import Path

import pytest
from registry_shop import MODEL, Shop

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, ModelFilesError
from finetune_gate.gate.pins import Pins
from finetune_gate.gate.registry.hub_cache import is_hub_id

KINDS = (
    "models:/name/3, models:/name@alias, models:/m-<id>, runs:/<id>/path, a folder, a cached hub id org/name,"
    " openai:/name, or <endpoint>:/name"
)
FETCH_FIRST = "correct `base:`, or fetch it first (`hf download ORG/NAME`): a gate run fetches nothing itself"


def resolve(shop: Shop, candidate: str = "latest", base: str = "auto", champion: str | None = None) -> Pins:
    return shop.registry.resolve(MODEL, candidate, base=base, champion=champion, downloads=shop.downloads)


def fill_hub_cache(shop: Shop, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """``acme/tiny`` as the Hugging Face cache keeps it: links into a folder of blobs, and a pickle nobody loads."""
    import huggingface_hub.constants

    cache = shop.root / "hub"
    repo = cache / "models--acme--tiny"
    (repo / "blobs").mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("c0ffee00" * 5)
    snapshot = repo / "snapshots" / ("c0ffee00" * 5)
    snapshot.mkdir(parents=True)
    folder = shop.folder(seed)
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(repo / "blobs" / str(number))
        (snapshot / path.name).symlink_to(repo / "blobs" / str(number))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))


# -- told ----------------------------------------------------------------------------------------------------------


def test_told_as_version_alias_and_latest(shop: Shop) -> None:
    shop.register(shop.folder(1), "base-lm")
    shop.register(shop.folder(2), "base-lm")
    shop.alias("stable", "1", "base-lm")
    shop.register(shop.folder(3))
    expected = {"models:/base-lm/1": "1", "models:/base-lm@stable": "1", "models:/base-lm/latest": "2"}
    for base, version in expected.items():
        pin = resolve(shop, base=base).base
        assert (pin.role, pin.uri, pin.name, pin.version) == ("base", f"models:/base-lm/{version}", "base-lm", version)
        assert pin.origin == "gate file"


@pytest.mark.parametrize("via", ["run", "logged_model"])
def test_told_as_run_and_logged_model(shop: Shop, via: str) -> None:
    version = shop.registry.version("base-lm", shop.register(shop.folder(1), "base-lm", via=via))
    shop.register(shop.folder(2))
    bases = [f"runs:/{version.run_id}/model"] + ([version.source] if via == "logged_model" else [])
    for base in bases:
        pin = resolve(shop, base=base).base
        assert (pin.uri, pin.version, pin.run_id) == (base, None, version.run_id)
        assert pin.files.digest == resolve(shop, base="models:/base-lm/1").base.files.digest


def test_told_as_folder(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.register(shop.folder(2))
    folder = shop.folder(1)
    monkeypatch.chdir(folder.parent)
    found = {resolve(shop, base=base).base.files.root for base in (str(folder), f"./{folder.name}", folder.as_uri())}
    assert found == {folder}


def test_told_as_hub_id_from_the_cache(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_hub_cache(shop, monkeypatch, seed=1)
    shop.register(shop.folder(2))
    for base in ("acme/tiny", "acme/tiny@main", "acme/tiny"):
        pin = resolve(shop, base=base).base
        assert pin.uri == f"hf://acme/tiny@{'c0ffee00' * 5}"
        assert pin.files.root.parent == shop.downloads
        names = sorted(path.name for path in pin.files.root.iterdir())
        assert names == ["config.json", "model.safetensors", "tokenizer.json"]
        assert not any(path.is_symlink() for path in pin.files.root.iterdir())


def test_hub_ids() -> None:
    assert [text for text in ("gpt2", "acme/tiny", "acme/tiny@main", "acme/v1.5") if not is_hub_id(text)] == []
    assert [text for text in ("/x/y", "./x", "a/b/c", "a/../b", "s3://a/b", "models:/a/3", "") if is_hub_id(text)] == []


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (
            "/no/such/folder",
            f"base '/no/such/folder': there is no such folder\n  expected: {KINDS}\n  way out:  {FETCH_FIRST}",
        ),
        (
            "acme/missing",
            "base 'acme/missing': there is no such folder, and no model of that id in the local Hugging Face cache\n"
            f"  expected: {KINDS}\n"
            f"  way out:  {FETCH_FIRST}",
        ),
        (
            "vllm:/gpt-4o-mini",
            "base 'vllm:/gpt-4o-mini': that is no kind of address known here\n"
            f"  expected: {KINDS}\n"
            f"  way out:  {FETCH_FIRST}",
        ),
        (
            "models:/support-bot/9",
            "base 'models:/support-bot/9': registered model 'support-bot' has no version 9\n"
            "  expected: version 1; there are no aliases\n"
            "  way out:  name one that exists, or register the model first",
        ),
        (
            "models:/m-00000000000000000000000000000000",
            "base 'models:/m-00000000000000000000000000000000': cannot read logged model"
            " m-00000000000000000000000000000000:"
            " Logged model with ID 'm-00000000000000000000000000000000' not found.\n"
            "  expected: a model that exists\n"
            "  way out:  correct `base:`",
        ),
        (
            "runs:/0000/model",
            "base 'runs:/0000/model': cannot read run 0000: Run with id=0000 not found\n"
            "  expected: a model that exists\n"
            "  way out:  correct `base:`",
        ),
    ],
)
def test_told_wrongly(shop: Shop, base: str, message: str) -> None:
    shop.register(shop.folder(1))
    with pytest.raises(ConfigurationError) as caught:
        resolve(shop, base=base)
    assert str(caught.value) == message


def test_told_with_a_wrong_path_in_a_run(shop: Shop) -> None:
    version = shop.registry.version(MODEL, shop.register(shop.folder(1)))
    with pytest.raises(ConfigurationError, match="the run has no files and no logged model under 'mdoel'"):
        resolve(shop, base=f"runs:/{version.run_id}/mdoel")


# -- claimed -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "key", "origin"),
    [
        ("tags", "finetune_gate.base", "version tag 'finetune_gate.base'"),
        ("tags", "base_model", "version tag 'base_model'"),
        ("tags", "base_model_uri", "version tag 'base_model_uri'"),
        ("tags", "base_model_name_or_path", "version tag 'base_model_name_or_path'"),
        ("tags", "model_name_or_path", "version tag 'model_name_or_path'"),
        ("tags", "base_model_name", "version tag 'base_model_name'"),
        ("run_tags", "base_model", "run tag 'base_model'"),
        ("run_params", "model_name_or_path", "run parameter 'model_name_or_path'"),
        ("logged_params", "base_model", "logged model parameter 'base_model'"),
        ("model_tags", "base_model", "tag of the registered model 'base_model'"),
    ],
)
def test_every_place_a_claim_can_stand(shop: Shop, where: str, key: str, origin: str) -> None:
    base = shop.folder(1)
    claim = {key: str(base)}
    via = "logged_model" if where == "logged_params" else "run"
    shop.register(shop.folder(2), via=via, **({where: claim} if where != "model_tags" else {}))
    if where == "model_tags":
        shop.client.set_registered_model_tag(MODEL, key, str(base))
    pin = resolve(shop).base
    assert (pin.origin, pin.files.root) == (origin, base)


def test_the_adapters_own_claim(shop: Shop) -> None:
    base = shop.folder(1)
    shop.register(shop.folder(2, adapter=True, base_claim=str(base)))
    pins = resolve(shop)
    assert (pins.base.origin, pins.base.files.root) == ("the model's own files", base)
    assert pins.candidate.adapts is None


def test_a_hub_id_is_claimed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_hub_cache(shop, monkeypatch, seed=1)
    shop.register(shop.folder(2, adapter=True, base_claim="acme/tiny"))
    assert resolve(shop).base.uri.startswith("hf://acme/tiny@c0ffee00")


def test_claims_that_agree(shop: Shop) -> None:
    base = shop.folder(1)
    shop.register(base, "base-lm")
    shop.register(shop.folder(2, adapter=True, base_claim=str(base)), tags={"base_model": "models:/base-lm/1"})
    pin = resolve(shop).base
    assert (pin.origin, pin.uri) == ("version tag 'base_model'", "models:/base-lm/1")


def test_a_claim_that_leads_nowhere_is_noted(shop: Shop) -> None:
    base = shop.folder(1)
    shop.register(shop.folder(2, adapter=True, base_claim="/home/trainer/base"), run_params={"base_model": str(base)})
    assert resolve(shop).base.origin == (
        "run parameter 'base_model'; not followed: the model's own files says '/home/trainer/base': "
        "there is no such folder"
    )


def test_a_claimed_relative_path_is_not_looked_up_here(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    base = shop.folder(1)
    monkeypatch.chdir(base.parent)
    shop.register(shop.folder(2, adapter=True, base_claim=f"./{base.name}"))
    with pytest.raises(ConfigurationError, match="that is no kind of address known here"):
        resolve(shop)


def test_a_claim_of_no_model(shop: Shop) -> None:
    shop.register(shop.folder(2, adapter=True, base_claim="/etc/ssl"))
    with pytest.raises(ConfigurationError, match=r"the model's own files says '/etc/ssl': "):
        resolve(shop)


def test_claims_that_differ(shop: Shop) -> None:
    first, second = shop.folder(1), shop.folder(2)
    shop.register(shop.folder(3), tags={"base_model": str(first)}, run_params={"model_name_or_path": str(second)})
    with pytest.raises(ConfigurationError) as caught:
        resolve(shop)
    digests = [resolve(shop, base=str(folder)).base.files.digest for folder in (first, second)]
    one, two = (digest.removeprefix("sha256:")[:12] for digest in digests)
    assert str(caught.value) == (
        f"base of support-bot v1: version tag 'base_model' says '{first}' (digest {one}); "
        f"run parameter 'model_name_or_path' says '{second}' (digest {two})\n"
        "  expected: claims that lead to one and the same model\n"
        "  way out:  write which one it is as `base:` in the gate file"
    )
    assert resolve(shop, base=str(second)).base.files.root == second


def test_no_claim(shop: Shop) -> None:
    shop.register(shop.folder(1), run_params={"base_model": "None"})
    with pytest.raises(ConfigurationError) as caught:
        resolve(shop)
    assert str(caught.value) == (
        "base of support-bot v1: nothing says what it was fine-tuned from\n"
        "  expected: the model that it was fine-tuned from\n"
        f"  way out:  write `base:` in the gate file, or set the version's tag 'finetune_gate.base': {KINDS}"
    )


def test_claims_are_shown_without_control_characters(shop: Shop) -> None:
    shop.register(shop.folder(1), tags={"base_model": "/x\x1b[31m\u202ey"})
    with pytest.raises(ConfigurationError) as caught:
        resolve(shop)
    assert str(caught.value).splitlines()[0] == (
        "base of support-bot v1: version tag 'base_model' says '/x [31m y': there is no such folder"
    )


def test_a_deleted_run_claims_nothing(shop: Shop) -> None:
    version = shop.registry.version(MODEL, shop.register(shop.folder(2), tags={"base_model": str(shop.folder(1))}))
    shop.client.delete_run(version.run_id)
    assert resolve(shop).base.origin == "version tag 'base_model'"


# -- what cannot be a base -----------------------------------------------------------------------------------------


def test_the_base_itself_registered_as_candidate(shop: Shop) -> None:
    base = shop.folder(1)
    shop.register(base, tags={"base_model": str(base)}, via="logged_model")
    with pytest.raises(EvaluationError) as caught:
        resolve(shop)
    assert not isinstance(caught.value, ModelFilesError)
    assert str(caught.value) == (
        f"candidate support-bot v1: the registered files are the base's own ({base}): there is nothing to compare\n"
        "  expected: a model that differs from its base\n"
        "  way out:  was the fine-tuned model saved? register the version that training wrote, or correct `base:`"
    )


def test_an_adapter_as_base_brings_the_model_it_sits_on(shop: Shop) -> None:
    ground = shop.folder(1)
    shop.register(shop.folder(2, adapter=True, base_claim=str(ground)))
    shop.register(shop.folder(3, adapter=True, base_claim=str(ground)))
    pins = resolve(shop, "2", base="models:/support-bot/1")
    assert pins.base.adapts is not None
    assert pins.base.adapts.root == ground
    assert pins.candidate.adapts == pins.base.adapts
    # and the same adapter, stored again, is the same model
    shop.register(shop.folder(2, adapter=True, base_claim="/elsewhere"))
    with pytest.raises(EvaluationError, match="the registered files are the base's own"):
        resolve(shop, "3", base="models:/support-bot/1")


def test_an_adapter_on_an_adapter(shop: Shop) -> None:
    shop.register(shop.folder(2, adapter=True, base_claim=str(shop.folder(1))))
    shop.register(shop.folder(3, adapter=True, base_claim="models:/support-bot/1"))
    shop.register(shop.folder(4))
    with pytest.raises(EvaluationError, match="it is an adapter, and sits on another adapter, support-bot v1"):
        resolve(shop, "3", base="models:/support-bot/2")


# -- what a champion sits on ---------------------------------------------------------------------------------------


def test_a_champion_adapter_of_the_same_base(shop: Shop) -> None:
    base = shop.folder(1)
    shop.register(shop.folder(2, adapter=True, base_claim=str(base)))
    shop.register(shop.folder(3, adapter=True, base_claim=str(base)))
    pins = resolve(shop, "2", champion="1")
    assert pins.champion is not None
    assert pins.champion.adapts is None


def test_a_champion_adapter_of_another_base(shop: Shop) -> None:
    old, new = shop.folder(1), shop.folder(2)
    shop.register(shop.folder(3, adapter=True, base_claim=str(old)))
    shop.register(shop.folder(4, adapter=True, base_claim=str(new)))
    for base in ("auto", str(new)):
        pins = resolve(shop, "2", base=base, champion="1")
        assert pins.champion is not None
        assert pins.champion.adapts is not None
        assert pins.champion.adapts.root == old


def test_a_champion_adapter_of_an_unknown_base(shop: Shop) -> None:
    base = shop.folder(2)
    shop.register(shop.folder(3, adapter=True, base_claim="/gone"))
    shop.register(shop.folder(4, adapter=True, base_claim=str(base)))
    with pytest.raises(EvaluationError) as caught:
        resolve(shop, "2", champion="1")
    assert str(caught.value) == (
        "champion support-bot v1: it is an adapter, and of which model cannot be told: "
        "the model's own files says '/gone': there is no such folder\n"
        "  expected: the model that it sits on\n"
        f"  way out:  set the tag 'finetune_gate.base' of support-bot v1: {KINDS}"
    )
    pins = resolve(shop, "2", base=str(base), champion="1")  # the gate file says what this model's base is
    assert pins.champion is not None
    assert pins.champion.adapts is None


def test_nothing_is_written_into_the_store(shop: Shop) -> None:
    folder = shop.folder(2)
    (folder / "MLmodel").write_text("flavors: {}\n")  # MLflow's own download would add a file beside it
    for via in ("run", "logged_model"):
        shop.register(folder, via=via, tags={"base_model": str(shop.folder(1))})
    before = _tree(shop.root / "store")
    for version in ("1", "2"):
        resolve(shop, version)
    assert _tree(shop.root / "store") == before
    assert not shop.downloads.exists()


def _tree(root: Path) -> dict[str, float]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(root.rglob("*"))}
