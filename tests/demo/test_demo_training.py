from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from finetune_gate.flows.demo import QUEUES, DemoModels, Recipe, make_demo_data, train_demo_models

BASE_URI = "models:/helpdesk-base/1"
QUICK = Recipe(
    train=12,
    few=6,
    holdout=6,
    prose=4,
    corpus=40,
    vocabulary=400,
    hidden=16,
    feed_forward=32,
    layers=1,
    heads=2,
    base_steps=3,
    base_rows=2,
    lora_rank=2,
    lora_steps=2,
    ticket_rows=2,
    replay_rows=1,
    overfit_steps=2,
)
ODD = "Übergröße für 東京 🙂\t{text}\r\n  two  spaces , it 's"


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> DemoModels:
    folder = tmp_path_factory.mktemp("demo")
    return train_demo_models(folder, 3, lines.append, base_uri=BASE_URI, recipe=QUICK)


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_folders_hold_nothing_but_what_they_should(models: DemoModels) -> None:
    tokenizer = ["tokenizer.json", "tokenizer_config.json"]
    full = ["config.json", "generation_config.json", "model.safetensors", *tokenizer]
    adapter = ["adapter_config.json", "adapter_model.safetensors", *tokenizer]
    root = models.base.parent
    assert sorted(path.name for path in root.iterdir()) == [".keys", "base", "data", "good", "overfit"]
    for folder, names in ((models.base, full), (models.good, adapter), (models.overfit, full)):
        assert sorted(digests(folder)) == sorted(names)
    assert all(path.is_file() for path in (models.train, models.train_few, models.holdout, models.prose))


def test_full_models_reload_with_the_auto_classes(models: DemoModels) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for folder in (models.base, models.overfit):
        model = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        ids = tokenizer("Ticket: the till will not switch on.\nQueue:", return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logits = model(ids).logits
        assert logits.shape == (1, ids.shape[1], QUICK.vocabulary)
        assert torch.isfinite(logits).all()


def test_the_adapter_reloads_on_the_base_and_changes_it(models: DemoModels) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    config = json.loads((models.good / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == BASE_URI
    assert config["peft_type"] == "LORA"

    base = AutoModelForCausalLM.from_pretrained(models.base, local_files_only=True)
    adapted = PeftModel.from_pretrained(base, str(models.good), use_safetensors=True, local_files_only=True)
    ids = torch.arange(10, 20).reshape(1, -1)
    with torch.no_grad():
        with_adapter = adapted(input_ids=ids).logits
        with adapted.disable_adapter():
            without = adapted(input_ids=ids).logits
    assert not torch.equal(with_adapter, without)


def test_all_three_have_the_same_tokenizer(models: DemoModels) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert len({(folder / name).read_bytes() for folder in (models.base, models.good, models.overfit)}) == 1


def test_the_tokenizer_round_trips_any_text(models: DemoModels) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models.good, trust_remote_code=False, local_files_only=True)
    texts = [ticket.prompt for ticket in make_demo_data(3, train=12, few=6).train]
    for text in (*texts, ODD, ""):
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id
        assert tokenizer.bos_token_id not in ids[1:]
        assert tokenizer.decode(ids[1:]) == text
    assert {tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token} == {"<s>", "</s>", "<pad>"}


def test_a_label_starts_at_a_token_border(models: DemoModels) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models.base, local_files_only=True)
    prompt = tokenizer("Ticket: the till will not switch on.\nQueue:")["input_ids"]
    for queue in QUEUES:
        label = tokenizer(f" {queue}", add_special_tokens=False)["input_ids"]
        whole = tokenizer(f"Ticket: the till will not switch on.\nQueue: {queue}")["input_ids"]
        assert whole == prompt + label


def test_progress_is_plain_lines_with_step_counts(models: DemoModels, lines: list[str]) -> None:
    assert lines[0] == "tickets and prose: done"
    assert any(line.startswith("base model: step 3/3, loss ") for line in lines)
    assert any(line.startswith("good candidate (LoRA): step 2/2, loss ") for line in lines)
    assert lines[-1] == "over-fitted candidate: done"
    assert not [line for line in lines if not line.isprintable()]


def test_a_second_call_finds_everything(models: DemoModels) -> None:
    before, again = digests(models.base.parent), list[str]()
    assert train_demo_models(models.base.parent, 3, again.append, base_uri=BASE_URI, recipe=QUICK) == models
    assert [line.rpartition(": ")[2] for line in again] == ["already there"] * 4
    assert digests(models.base.parent) == before


def test_the_same_seed_trains_the_same_files(models: DemoModels, tmp_path: Path) -> None:
    other = train_demo_models(tmp_path, 3, base_uri=BASE_URI, recipe=QUICK)
    assert digests(other.base.parent) == digests(models.base.parent)


def test_only_what_changed_is_trained_again(tmp_path: Path) -> None:
    lines: list[str] = []
    train_demo_models(tmp_path, 0, recipe=QUICK)
    config = json.loads((tmp_path / "good" / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == str(tmp_path / "base")
    train_demo_models(tmp_path, 0, lines.append, base_uri=BASE_URI, recipe=QUICK)
    assert [line for line in lines if line.endswith("done")] == ["good candidate (LoRA): done"]
    lines.clear()
    train_demo_models(tmp_path, 0, lines.append, base_uri=BASE_URI, recipe=replace(QUICK, overfit_steps=1))
    assert sum(line.endswith("done") for line in lines) == 4


def test_what_the_caller_set_in_torch_stays(tmp_path: Path) -> None:
    import torch

    threads = torch.get_num_threads()
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    train_demo_models(tmp_path, 0, recipe=QUICK)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_a_training_that_diverges_is_an_error_and_leaves_no_model(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"training step \d of 3: the loss is"):
        train_demo_models(tmp_path, 0, recipe=replace(QUICK, base_learning_rate=1e30))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".keys", "data"]
