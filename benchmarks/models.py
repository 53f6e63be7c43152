"""Random-weight models of real architectures, made on the spot: speed does not depend on what the weights say.

    make_model(folder, "22m-llama")   # weights, configuration and tokenizer, as save_pretrained writes them

Weights are drawn wide enough that answers differ clearly between prompts, so that equal answers mean something.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .tasks import SHORT, corpus

CONTEXT = 512


@dataclass(frozen=True, slots=True)
class Shape:
    """``kind`` is transformers' name of the architecture; ``window`` what a position sees, where that is not all."""

    kind: str
    hidden: int
    layers: int
    heads: int
    vocabulary: int
    window: int | None = None


SHAPES = {
    "tiny-llama": Shape("llama", 96, 3, 4, 1024),
    "22m-llama": Shape("llama", 384, 8, 6, 16384),
    "22m-gpt2": Shape("gpt2", 384, 8, 6, 16384),
    "22m-qwen": Shape("qwen2", 384, 8, 6, 16384),
    "22m-mistral": Shape("mistral", 384, 8, 6, 16384, window=384),
    "22m-gptj": Shape("gptj", 384, 8, 6, 16384),
    "110m-llama": Shape("llama", 768, 12, 12, 32000),
    "110m-gpt2": Shape("gpt2", 768, 12, 12, 32000),
    "110m-qwen": Shape("qwen2", 768, 12, 12, 32000),
}
"""About 0.4, 22 and 110 million parameters. GPT-J's attention cannot be replaced, so it goes the general padded way."""


def make_model(folder: Path, name: str, seed: int = 0) -> Path:
    """Write the model called ``name`` into ``folder``, unless it is there; another seed gives other weights."""
    import torch

    if (folder / "config.json").exists():
        return folder
    shape = SHAPES[name]
    folder.mkdir(parents=True, exist_ok=True)
    _tokenizer(shape.vocabulary).save_pretrained(folder)
    torch.manual_seed(seed)
    _network(shape).eval().save_pretrained(folder)
    return folder


def make_adapter(folder: Path, base: Path) -> Path:
    """A LoRA adapter of rank 8 on ``base``, with random weights that are not zero."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    if folder.exists():
        return folder
    torch.manual_seed(1)
    settings: Any = {"r": 8, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**settings))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(0.0, 0.02)
    model.save_pretrained(str(folder))
    return folder


def parameters(folder: Path) -> int:
    from safetensors import safe_open

    count = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="np") as tensors:
            for key in tensors.keys():  # noqa: SIM118 -- no mapping
                size = 1
                for length in tensors.get_slice(key).get_shape():
                    size *= length
                count += size
    return count


def _network(shape: Shape) -> Any:
    import transformers

    common: dict[str, Any] = {
        "vocab_size": shape.vocabulary,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "initializer_range": 1.5 / shape.hidden**0.5,
    }
    if shape.kind in ("gpt2", "gptj"):
        sizes = {"n_embd": shape.hidden, "n_layer": shape.layers, "n_head": shape.heads, "n_positions": CONTEXT}
        if shape.kind == "gptj":
            return transformers.GPTJForCausalLM(transformers.GPTJConfig(**common, **sizes, rotary_dim=32))
        return transformers.GPT2LMHeadModel(transformers.GPT2Config(**common, **sizes))
    common |= {
        "hidden_size": shape.hidden,
        "intermediate_size": 8 * shape.hidden // 3,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads if shape.kind == "llama" else shape.heads // 2,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
    }
    if shape.kind == "llama":
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**common))
    if shape.kind == "qwen2":
        return transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**common))
    return transformers.MistralForCausalLM(transformers.MistralConfig(**common, sliding_window=shape.window))


@functools.cache
def _tokenizer(vocabulary: int) -> Any:
    """Byte-level BPE with BOS, EOS and no pad token, as most have. BOS is not put in front of every text: the harness
    would score a text's first token after two of them where it is."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    raw.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=min(vocabulary, 2048),
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(corpus(), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", clean_up_tokenization_spaces=False
    )
    whole = [len(tokenizer(" " + label)["input_ids"]) for label in SHORT]
    if whole != [1] * len(SHORT):
        raise RuntimeError(f"the short labels are {whole} tokens long, and are meant to be one each")
    return tokenizer
