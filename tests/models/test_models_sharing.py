"""Adapters and base on one set of weights; lazy loading, freeing, running out of memory."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from tiny_models import CORPUS, ask, exact, logprobs, make_adapter, make_model, make_tokenizer, pin, pins
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune_gate.evaluators.asking import GenerateRequest, ScoreRequest
from finetune_gate.evaluators.errors import ModelError, ModelFilesError
from finetune_gate.gate.models import effective_digest, open_models
from finetune_gate.gate.models.model_files import inspect_model_files
from finetune_gate.gate.models.network import Network
from finetune_gate.gate.pins import Pins

REQUESTS = [ScoreRequest(text, label, " ") for text in CORPUS for label in ("billing", "bug report")]
REQUESTS += [ScoreRequest("", text) for text in CORPUS] + [GenerateRequest(text[:9], 6) for text in CORPUS]


def by_hand(model, folder, request: ScoreRequest) -> list[float]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if not request.prompt:
        return exact(
            model, [tokenizer.bos_token_id], tokenizer(request.continuation, add_special_tokens=False).input_ids
        )
    context = tokenizer(request.prompt).input_ids
    return exact(model, context, tokenizer(" " + request.continuation, add_special_tokens=False).input_ids)


def test_candidate_and_champion_adapters_on_one_base(llama, adapter, other_adapter):
    with open_models(pins(llama, llama)) as models:
        bare = ask(models["base"], REQUESTS)
    with open_models(pins(adapter, llama, other_adapter)) as models:
        base_before = ask(models["base"], REQUESTS)
        candidate = ask(models["candidate"], REQUESTS)
        champion = ask(models["champion"], REQUESTS)
        assert ask(models["candidate"], REQUESTS) == candidate
        assert ask(models["base"], REQUESTS) == bare == base_before
        assert len({id(model._weights) for model in models.values()}) == 1
    for folder, answers in ((adapter, candidate), (other_adapter, champion)):
        alone = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(llama), folder).eval()
        for request, answer in zip(REQUESTS, answers, strict=True):
            if isinstance(request, ScoreRequest):
                assert logprobs(answer) == pytest.approx(by_hand(alone, llama, request), abs=1e-4)
    assert candidate != bare
    assert candidate != champion


def test_an_adapter_answers_the_same_alone_and_beside_others(llama, adapter, other_adapter):
    with open_models(pins(other_adapter, llama)) as models:
        alone = ask(models["candidate"], REQUESTS)
    with open_models(pins(adapter, llama, other_adapter)) as models:
        ask(models["candidate"], REQUESTS[:1])
        assert ask(models["champion"], REQUESTS) == alone


@pytest.mark.parametrize("settings", [{"bias": "all"}, {"init_lora_weights": "pissa"}])
def test_an_adapter_that_changes_its_base_has_weights_of_its_own(tmp_path, llama, settings):
    from safetensors.torch import load_file, save_file

    make_adapter(tmp_path, llama, **settings)
    if settings.get("bias"):  # this shape has no biases of its own, so nothing more to train: only the setting counts
        file = tmp_path / "adapter_model.safetensors"
        save_file(load_file(file), file)
    with open_models(pins(llama, llama)) as models:
        bare = ask(models["base"], REQUESTS)
    with open_models(pins(tmp_path, llama)) as models:
        assert models["candidate"]._weights is not models["base"]._weights
        candidate = ask(models["candidate"], REQUESTS)
        assert ask(models["base"], REQUESTS) == bare
    alone = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(llama), tmp_path).eval()
    assert logprobs(candidate[0]) == pytest.approx(by_hand(alone, llama, REQUESTS[0]), abs=1e-4)


def test_roles_that_are_one_model_are_one_object(llama, adapter, tmp_path):
    import shutil

    copy = shutil.copytree(llama, tmp_path / "copy")
    with open_models(pins(llama, copy, adapter)) as models:
        assert models["candidate"] is models["base"]
        assert models["champion"] is not models["base"]


def test_a_champion_adapter_may_sit_on_another_base(llama, other_llama, adapter):
    champion = pin("champion", adapter, adapts=inspect_model_files(other_llama))
    run = Pins(pin("candidate", adapter), pin("base", llama), champion)
    with open_models(run) as models:
        candidate, champion_answers = ask(models["candidate"], REQUESTS), ask(models["champion"], REQUESTS)
        assert models["candidate"].digest != models["champion"].digest
    alone = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(other_llama), adapter).eval()
    assert logprobs(champion_answers[0]) == pytest.approx(by_hand(alone, other_llama, REQUESTS[0]), abs=1e-4)
    assert candidate != champion_answers


def test_an_adapter_needs_a_base_with_weights(llama, adapter, other_adapter):
    files = inspect_model_files(adapter)
    with pytest.raises(ModelFilesError, match="base model it sits on is not known"):
        effective_digest(files, None)
    with pytest.raises(ModelFilesError, match="is an adapter itself"):
        effective_digest(files, inspect_model_files(other_adapter))
    with pytest.raises(ModelFilesError, match="not known"), open_models(pins(llama, adapter)):
        pass


def test_an_adapter_may_bring_its_own_tokenizer(tmp_path, llama):
    make_adapter(tmp_path, llama)
    make_tokenizer(tmp_path, adds_bos=False)
    with open_models(pins(tmp_path, llama)) as models:
        assert models["candidate"].facts()["adds_bos"] is False
        assert models["base"].facts()["adds_bos"] is True
        assert models["candidate"].facts()["tokenizer"] != models["base"].facts()["tokenizer"]
        left, right = ask(models["candidate"], REQUESTS[:1]), ask(models["base"], REQUESTS[:1])
    assert left != right


def test_an_adapter_trained_on_another_shape_is_an_error(tmp_path, gpt2, adapter):
    with open_models(pins(adapter, gpt2)) as models, pytest.raises(ModelError, match="adapter cannot be loaded"):
        ask(models["candidate"], REQUESTS[:1])


def test_an_adapter_without_some_of_its_weights_is_an_error(tmp_path, llama, adapter):
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(adapter, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "adapter_model.safetensors"
    save_file({name: tensor for name, tensor in load_file(file).items() if "layers.1" not in name}, file)
    with (
        open_models(pins(tmp_path, llama)) as models,
        pytest.raises(ModelError, match="no weights for 4 of its layers"),
    ):
        ask(models["candidate"], REQUESTS[:1])


def test_weights_load_at_the_first_question_and_go_when_nobody_needs_them(llama, other_llama, adapter):
    with open_models(pins(adapter, llama, other_llama)) as models:
        shared, own = models["base"]._weights, models["champion"]._weights
        models["base"].addresses(REQUESTS)
        models["base"].facts()
        assert not shared.loaded
        first = ask(models["candidate"], REQUESTS[:2])
        assert shared.loaded
        assert not own.loaded
        models["candidate"].release()
        assert shared.loaded  # the base is still to be asked
        ask(models["base"], REQUESTS[:2])
        network = weakref.ref(shared._network)
        models["base"].release()
        assert not shared.loaded
        gc.collect()
        assert network() is None
        assert ask(models["candidate"], REQUESTS[:2]) == first
    assert not shared.loaded
    with pytest.raises(RuntimeError, match="open_models had been left"):
        ask(models["candidate"], REQUESTS[:1])


def test_a_run_whose_answers_are_stored_imports_no_torch(llama, gpt2):
    code = f"""
import sys
from pathlib import Path
from finetune_gate.evaluators.asking import *
from finetune_gate.gate.models.model_files import inspect_model_files
from finetune_gate.gate.models import open_models
from finetune_gate.gate.pins import ModelPin, Pins
pins = [ModelPin(role, "x", None, None, None, "", inspect_model_files(Path(folder)))
        for role, folder in (("candidate", {str(llama)!r}), ("base", {str(gpt2)!r}))]
requests = [ScoreRequest("a", "b"), GenerateRequest((Message("user", "Hi"),)), ScoreRequest("", "text")]
with open_models(Pins(*pins, None), device="cpu") as models:
    for model in models.values():
        print(*model.addresses(requests), model.facts()["context_tokens"])
print(sorted({{"torch", "peft", "mlflow", "scipy"}} & set(sys.modules)))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert out[-1] == "[]"
    with open_models(pins(llama, gpt2)) as models:
        requests = [ScoreRequest("a", "b")]
        assert models["candidate"].addresses(requests)[0] == out[0].split()[0]


class NoMemory:
    """Lets a batch through only where it has at most ``tokens`` padded tokens."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.refused = 0

    def __call__(self, original):
        def call(network, first, *rest):
            size = first.numel() if isinstance(first, torch.Tensor) else len(first) * max(row.length for row in first)
            if size > self.tokens:
                self.refused += 1
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 TiB")
            return original(network, first, *rest)

        return call


def test_running_out_of_memory_halves_the_batch(llama, monkeypatch):
    with open_models(pins(llama, llama)) as models:
        whole = ask(models["candidate"], REQUESTS)
        limit, narrow = NoMemory(46), NoMemory(15)
        monkeypatch.setattr(Network, "chunks", limit(Network.chunks))
        monkeypatch.setattr(Network, "following", narrow(Network.following))
        halved = ask(models["candidate"], REQUESTS)
    assert limit.refused > 1
    assert narrow.refused > 0
    for left, right in zip(whole, halved, strict=True):
        if hasattr(left, "logprobs"):
            assert left.logprobs == pytest.approx(right.logprobs, abs=1e-4)
        else:
            assert left == right


def test_one_sequence_that_does_not_fit_is_an_error_with_a_way_out(llama, monkeypatch):
    monkeypatch.setattr(Network, "chunks", NoMemory(3)(Network.chunks))
    with open_models(pins(llama, llama)) as models, pytest.raises(ModelError, match="does not fit") as caught:
        ask(models["candidate"], REQUESTS[:3])
    assert "larger device" in str(caught.value)


def test_other_errors_of_a_forward_pass_are_not_swallowed(llama, monkeypatch):
    def broken(*_):
        raise RuntimeError("an honest bug")

    monkeypatch.setattr(Network, "chunks", broken)
    with open_models(pins(llama, llama)) as models, pytest.raises(RuntimeError, match="an honest bug"):
        ask(models["candidate"], REQUESTS[:3])


def test_missing_tensors_are_an_error_and_not_random_numbers(tmp_path, llama):
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(llama, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, file, {"format": "pt"})
    with open_models(pins(tmp_path, llama)) as models, pytest.raises(ModelError, match="1 tensors are missing"):
        ask(models["candidate"], REQUESTS[:1])


def test_a_tokenizer_larger_than_the_embedding_is_an_error(tmp_path):
    make_model(tmp_path, vocabulary=300)
    make_tokenizer(tmp_path)
    with open_models(pins(tmp_path, tmp_path)) as models, pytest.raises(ModelError, match="300 embeddings"):
        models["candidate"].addresses(REQUESTS[:1])


def test_loading_reaches_no_network_and_says_nothing(llama, adapter, monkeypatch, capfd):
    import socket

    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with open_models(pins(adapter, llama)) as models:
        ask(models["candidate"], REQUESTS)
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


def test_addresses_tell_apart_all_that_changes_an_answer(llama, other_llama, adapter, gpt2):
    requests = [
        ScoreRequest("a", "b"),
        ScoreRequest("a", "bc"),
        ScoreRequest("", "ab"),
        GenerateRequest("a"),
        GenerateRequest("a", 31),
        GenerateRequest("a", stop=("x",)),
        GenerateRequest("a", temperature=0.5),
        GenerateRequest("a", temperature=0.5, seed=1),
        GenerateRequest("a", temperature=0.5, sample=1),
        GenerateRequest("a", temperature=0.5, top_p=0.9),
    ]
    found: list[str] = []
    for run in (pins(llama, other_llama, adapter), pins(gpt2, gpt2)):
        with open_models(run) as models:
            for model in dict.fromkeys(models.values()):
                found += model.addresses(requests)
    with open_models(pins(llama, llama), dtype="bfloat16") as models:
        found += models["base"].addresses(requests)
    assert len(set(found)) == len(found) == 5 * len(requests)
    with open_models(pins(llama, llama), batch_tokens=7) as models:
        assert models["base"].addresses(requests) == found[: len(requests)]


def test_half_precision_is_a_choice_and_stays_near(llama):
    requests = [request for request in REQUESTS if isinstance(request, ScoreRequest)]
    with open_models(pins(llama, llama), dtype="bfloat16") as models:
        assert models["base"].facts()["dtype"] == "bfloat16"
        half = ask(models["base"], requests)
    with open_models(pins(llama, llama)) as models:
        full = ask(models["base"], requests)
    for left, right in zip(half, full, strict=True):
        assert logprobs(left) == pytest.approx(logprobs(right), abs=0.3)


def test_an_unknown_dtype_is_an_error(llama):
    with pytest.raises(ModelError, match="int3"), open_models(pins(llama, llama), dtype="int3"):
        pass


def test_the_trap_of_a_tokenizer_without_vocabulary(tmp_path, llama):
    """Loads without complaint in transformers, and encodes every text to nothing."""
    import json
    import shutil

    from tokenizers import Tokenizer, models

    shutil.copytree(llama, tmp_path, dirs_exist_ok=True)
    Tokenizer(models.BPE()).save(str(tmp_path / "tokenizer.json"))
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": settings["tokenizer_class"]}))
    assert AutoTokenizer.from_pretrained(tmp_path)("The quick brown fox", add_special_tokens=False).input_ids == []
    with open_models(pins(tmp_path, llama)) as opened, pytest.raises(ModelError, match="0 tokens that read ''"):
        opened["candidate"].addresses([ScoreRequest("a", "b")])


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_foreign_errors_become_model_errors(tmp_path: Path, llama: Path, file: str):
    import shutil

    shutil.copytree(llama, tmp_path, dirs_exist_ok=True)
    (tmp_path / file).write_text('{"model_type": "no such thing", "version": 3}')
    with open_models(pins(tmp_path, llama)) as models, pytest.raises(ModelError) as caught:
        ask(models["candidate"], REQUESTS[:1])
    assert "way out" in str(caught.value)


def test_releasing_a_model_of_weights_that_fail_to_load_leaves_nothing(tmp_path):
    make_model(tmp_path)
    make_tokenizer(tmp_path)
    with open_models(pins(tmp_path, tmp_path)) as models:
        (tmp_path / "model.safetensors").unlink()
        with pytest.raises(ModelError, match="model cannot be loaded"):
            ask(models["candidate"], REQUESTS[:1])
        models["candidate"].release()
        assert not models["candidate"]._weights.loaded
