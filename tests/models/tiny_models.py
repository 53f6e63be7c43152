"""Tiny random models and tokenizers, made on the spot: no test downloads anything."""

from __future__ import annotations

from pathlib import Path

from finetune_gate.evaluators.asking import Answer, GenerateRequest, Request, ScoreRequest, TokenLogprobs
from finetune_gate.gate.models import Model
from finetune_gate.gate.models.model_files import inspect_model_files
from finetune_gate.gate.pins import ModelFiles, ModelPin, Pins, Role

CONTEXT = 48
CHAT = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CORPUS = [
    "My invoice was charged twice this month, please refund the money to my card.",
    "The app crashes whenever I open the settings page on my phone.",
    "Thank you for the quick help, the new release works like a charm!",
    "label: billing",
    "label: bug report",
    "label: praise",
]


def make_tokenizer(folder: Path, *, bos: bool = True, adds_bos: bool = True, eos: bool = True, chat: str | None = None):
    """A byte-level BPE tokenizer saved in ``folder``. No pad token, like most."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(CORPUS * 4, trainer)
    if bos and adds_bos:
        raw.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", raw.token_to_id("<s>"))]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>" if bos else None,
        eos_token="</s>" if eos else None,
        additional_special_tokens=special[2:],
    )
    tokenizer.chat_template = chat
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_model(folder: Path, shape: str = "llama", *, seed: int = 0, vocabulary: int = 400):
    """A random causal language model saved in ``folder``; weights large enough that answers differ clearly."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    common = {"vocab_size": vocabulary, "bos_token_id": 0, "eos_token_id": 1, "initializer_range": 0.2}
    if shape == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=CONTEXT, **common))
    else:
        model = LlamaForCausalLM(
            LlamaConfig(
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=CONTEXT,
                **common,
            )
        )
    model.eval().save_pretrained(folder)
    return model


def make_adapter(folder: Path, base: Path, *, seed: int = 1, **settings):
    """A LoRA adapter on ``base`` with random, non-zero weights."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    settings = {"r": 4, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM", **settings}
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**settings))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.normal_(0.0, 0.3 if "lora" in name else 0.1)
    model.save_pretrained(folder)
    return model


def pin(role: Role, files: ModelFiles | Path, **fields) -> ModelPin:
    files = inspect_model_files(files) if isinstance(files, Path) else files
    return ModelPin(role, str(files.root), None, None, None, "a test", files, **fields)


def pins(candidate: ModelFiles | Path, base: ModelFiles | Path, champion: ModelFiles | Path | None = None) -> Pins:
    return Pins(pin("candidate", candidate), pin("base", base), pin("champion", champion) if champion else None)


def ask(model: Model, requests: list[Request]) -> list[Answer]:
    """Answers in order; each request answered exactly once."""
    answers: dict[int, Answer] = {}

    def collector(indices: list[int]):
        def deliver(at: int, answer: Answer) -> None:
            assert indices[at] not in answers
            answers[indices[at]] = answer

        return deliver

    scores = [at for at, request in enumerate(requests) if isinstance(request, ScoreRequest)]
    texts = [at for at, request in enumerate(requests) if isinstance(request, GenerateRequest)]
    if scores:
        model.score([requests[at] for at in scores], collector(scores))
    if texts:
        model.generate([requests[at] for at in texts], collector(texts))
    return [answers[at] for at in range(len(requests))]


def logprobs(answer: Answer) -> tuple[float, ...]:
    assert isinstance(answer, TokenLogprobs), answer
    return answer.logprobs


def exact(model, context: list[int], targets: list[int]) -> list[float]:
    """Log-probabilities of ``targets``, one token at a time, in float64 from the logits on: slow and plain."""
    import torch

    ids = [*context, *targets]
    with torch.inference_mode():
        logits = model(torch.tensor([ids[:-1]])).logits[0].double()
    table = logits.log_softmax(-1)
    return [float(table[len(context) - 1 + at, target]) for at, target in enumerate(targets)]


def exact_document(model, tokens: list[int], start: int) -> list[float]:
    """Every token of a document scored once: full windows after one token of context, the last one moved left."""
    found: list[float] = []
    while len(found) < len(tokens):
        at = len(found)
        size = min(CONTEXT, len(tokens) - at)
        seen = [start, *tokens]  # seen[at] stands right before tokens[at]
        room = CONTEXT + 1 - size if at and size < CONTEXT else 1
        found += exact(model, seen[max(0, at + 1 - room) : at + 1], tokens[at : at + size])
    return found
