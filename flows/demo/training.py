"""Train the demo's three models: a tiny base, a good LoRA candidate and an over-fitted one.

    models = train_demo_models(Path("demo"), seed=0, progress=print)
    models.base, models.good, models.overfit     # folders, safetensors only
    models.holdout                               # demo/data/holdout.jsonl

The models are real, if small (0.4 million parameters), and are trained on the CPU without any download. On the
holdout the base guesses, the good candidate sorts nearly every ticket, and the over-fitted one knows its own
tickets alone and has lost the language of the base. Replaying base prose beside the tickets is what
keeps the good candidate's language (rehearsal: Robins 1995, Connection Science 7:123-146).
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from .learning import (
    Batch,
    Example,
    fit,
    make_batch,
    prose_examples,
    shuffled,
    ticket_examples,
    train_tokenizer,
)
from .recipe import Recipe
from .shelf import Shelf
from .tickets import DemoData, make_demo_data, write_data

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast
    from transformers.models.llama import LlamaForCausalLM

Progress = Callable[[str], None]

REPORT_EVERY: Final = 25
"""Steps between two progress lines."""

BASE_TITLE: Final = "base model"
GOOD_TITLE: Final = "good candidate (LoRA)"
OVERFIT_TITLE: Final = "over-fitted candidate"
TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json")

LINEAR_LAYERS: Final = ("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj")


@dataclass(frozen=True)
class DemoModels:
    """Where everything lies. `base` and `overfit` are model folders, `good` is a PEFT adapter folder; all three
    hold the tokenizer. The rest are JSONL files."""

    base: Path
    good: Path
    overfit: Path
    train: Path
    train_few: Path
    holdout: Path
    prose: Path


def _silent(line: str) -> None:
    del line


def train_demo_models(
    folder: Path,
    seed: int = 0,
    progress: Progress = _silent,
    *,
    base_uri: str | None = None,
    recipe: Recipe | None = None,
) -> DemoModels:
    """Train what is missing in `folder` and say where it lies; about a minute, 4 MB on disk.

    Each part appears under its name only when it is complete, so a killed training leaves nothing by half, and
    the next call goes on behind the last finished part. Parts of another seed or recipe are replaced. On one
    machine the same seed gives the same files, byte for byte, as long as torch and its companions stay the same.

    Args:
        folder: parent of `base/`, `good/`, `overfit/` and `data/`; made if missing.
        progress: takes one plain line at a time, e.g. "base model: step 50/150, loss 2.31".
        base_uri: what the adapter names as its base (`base_model_name_or_path`), such as
            "models:/helpdesk-base/1"; the path of the base folder if not given.

    Raises:
        FloatingPointError: a training diverged.
        OSError: `folder` cannot be written.
    """
    recipe = recipe or Recipe()
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    data = make_demo_data(
        seed,
        train=recipe.train,
        few=recipe.few,
        holdout=recipe.holdout,
        prose=recipe.prose,
        corpus=recipe.corpus,
    )
    texts = [ticket.text for ticket in (*data.train, *data.few, *data.holdout)]
    texts += [document.text for document in (*data.prose, *data.corpus)]
    key = _digest([asdict(recipe), seed, texts])
    base_uri = base_uri or str(folder / "base")
    training = _Training(recipe, seed, data, folder / "base", progress)
    parts: tuple[tuple[str, str, str, Callable[[Path], None]], ...] = (
        ("data", "tickets and prose", key, lambda work: write_data(data, work)),
        ("base", BASE_TITLE, key, training.base),
        ("good", GOOD_TITLE, _digest([key, base_uri]), lambda work: training.good(work, base_uri)),
        ("overfit", OVERFIT_TITLE, key, training.overfit),
    )
    shelf = Shelf(folder)
    for part, title, part_key, write in parts:
        made = shelf.put(part, part_key, write)
        progress(f"{title}: {'done' if made else 'already there'}")
    return DemoModels(
        base=folder / "base",
        good=folder / "good",
        overfit=folder / "overfit",
        train=folder / "data" / "train.jsonl",
        train_few=folder / "data" / "train-few.jsonl",
        holdout=folder / "data" / "holdout.jsonl",
        prose=folder / "data" / "prose.jsonl",
    )


@dataclass(frozen=True)
class _Training:
    """The three trainings; each fills an empty folder."""

    recipe: Recipe
    seed: int
    data: DemoData
    base_folder: Path
    progress: Progress

    def base(self, work: Path) -> None:
        """Pre-train on prose in which the names of the queues occur."""
        from transformers import LlamaConfig, LlamaForCausalLM

        recipe = self.recipe
        texts = [document.text for document in self.data.corpus]
        tickets = [f"{ticket.prompt} {ticket.label}" for ticket in self.data.train]
        tokenizer = train_tokenizer([*texts, *tickets], recipe.vocabulary, recipe.context)
        with _reproducible(self.seed):
            model = LlamaForCausalLM(
                LlamaConfig(
                    vocab_size=len(tokenizer),
                    hidden_size=recipe.hidden,
                    intermediate_size=recipe.feed_forward,
                    num_hidden_layers=recipe.layers,
                    num_attention_heads=recipe.heads,
                    max_position_embeddings=recipe.context,
                    initializer_range=recipe.initial_spread,
                    tie_word_embeddings=True,
                    bos_token_id=cast(int, tokenizer.bos_token_id),
                    eos_token_id=cast(int, tokenizer.eos_token_id),
                    pad_token_id=cast(int, tokenizer.pad_token_id),
                )
            )
            prose = self._prose(tokenizer, "base")
            fit(
                model,
                lambda: self._batch(tokenizer, (1.0, _take(prose, recipe.base_rows))),
                steps=recipe.base_steps,
                learning_rate=recipe.base_learning_rate,
                report=self._report(BASE_TITLE, recipe.base_steps),
            )
            _save_model(model, work)
        tokenizer.save_pretrained(work)  # pyright: ignore[reportUnknownMemberType]  -- half annotated

    def good(self, work: Path, base_uri: str) -> None:
        """Fine-tune with LoRA on all training tickets, with base prose replayed beside them."""
        from peft import LoraConfig, get_peft_model

        recipe = self.recipe
        with _reproducible(self.seed):
            model, tokenizer = self._load_base()
            config = LoraConfig(
                r=recipe.lora_rank,
                lora_alpha=recipe.lora_alpha,
                lora_dropout=0.0,
                target_modules=list(LINEAR_LAYERS),
                task_type="CAUSAL_LM",
            )
            adapted = get_peft_model(model, config)  # adds the adapter to `model` itself
            rows = ticket_examples(self.data.train, tokenizer)
            tickets = shuffled(rows, random.Random(f"tickets-{self.seed}"))
            prose = self._prose(tokenizer, "good")
            fit(
                model,
                lambda: self._batch(
                    tokenizer,
                    (1 - recipe.replay_share, _take(tickets, recipe.ticket_rows)),
                    (recipe.replay_share, _take(prose, recipe.replay_rows)),
                ),
                steps=recipe.lora_steps,
                learning_rate=recipe.lora_learning_rate,
                report=self._report(GOOD_TITLE, recipe.lora_steps),
            )
            config.base_model_name_or_path = base_uri
            adapted.save_pretrained(str(work), save_embedding_layers=False)
        (work / "README.md").unlink(missing_ok=True)  # peft's empty model card
        _sort_lists(work / "adapter_config.json")
        _share(work / "adapter_model.safetensors")
        self._copy_tokenizer(work)

    def overfit(self, work: Path) -> None:
        """Fine-tune all weights on a handful of tickets until they are known by heart, and on nothing else."""
        recipe = self.recipe
        with _reproducible(self.seed):
            model, tokenizer = self._load_base()
            batch = self._batch(tokenizer, (1.0, ticket_examples(self.data.few, tokenizer)))
            fit(
                model,
                lambda: batch,
                steps=recipe.overfit_steps,
                learning_rate=recipe.overfit_learning_rate,
                report=self._report(OVERFIT_TITLE, recipe.overfit_steps),
            )
            _save_model(model, work)
        self._copy_tokenizer(work)

    def _load_base(self) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
        from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

        folder = self.base_folder
        model = LlamaForCausalLM.from_pretrained(  # pyright: ignore[reportUnknownMemberType]  -- half annotated
            folder, use_safetensors=True, local_files_only=True
        )
        tokenizer = cast(
            "PreTrainedTokenizerFast",
            PreTrainedTokenizerFast.from_pretrained(  # pyright: ignore[reportUnknownMemberType]  -- half annotated
                folder, local_files_only=True
            ),
        )
        return model, tokenizer

    def _copy_tokenizer(self, work: Path) -> None:
        for name in TOKENIZER_FILES:
            shutil.copyfile(self.base_folder / name, work / name)

    def _prose(self, tokenizer: PreTrainedTokenizerFast, use: str) -> Iterator[Example]:
        texts = [document.text for document in self.data.corpus]
        return prose_examples(texts, tokenizer, self.recipe.prose_tokens, random.Random(f"{use}-{self.seed}"))

    def _batch(self, tokenizer: PreTrainedTokenizerFast, *parts: tuple[float, list[Example]]) -> Batch:
        return make_batch(parts, cast(int, tokenizer.pad_token_id))

    def _report(self, title: str, steps: int) -> Callable[[int, float], None]:
        def report(step: int, loss: float) -> None:
            if step % REPORT_EVERY == 0 or step == steps:
                self.progress(f"{title}: step {step}/{steps}, loss {loss:.2f}")

        return report


def _take(examples: Iterator[Example], count: int) -> list[Example]:
    return [next(examples) for _ in range(count)]


@contextmanager
def _reproducible(seed: int) -> Generator[None]:
    """Seeded, on one thread, without other people's progress bars; the caller's settings come back afterwards.

    One thread, because with two a training takes three quarters of the time where both cores are free and
    several times as long where they are not; and because then the number of cores changes no result.
    """
    import torch
    from transformers.utils import logging

    threads, bars = torch.get_num_threads(), logging.is_progress_bar_enabled()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    try:
        with (
            torch.random.fork_rng(devices=[]),  # pyright: ignore[reportUnknownMemberType]  -- half annotated
            warnings.catch_warnings(),
        ):
            # peft asks transformers for a property by its old name
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]  -- half annotated
            yield
    finally:
        torch.set_num_threads(threads)
        if bars:
            logging.enable_progress_bar()


def _save_model(model: LlamaForCausalLM, work: Path) -> None:
    model.save_pretrained(work)  # pyright: ignore[reportUnknownMemberType]  -- half annotated
    _share(work / "model.safetensors")


def _share(weights: Path) -> None:
    """Make a safetensors file, which is written for its owner alone, as readable as its folder."""
    weights.chmod(weights.parent.stat().st_mode & 0o666)


def _sort_lists(path: Path) -> None:
    """Rewrite a JSON object with its lists sorted: peft writes sets, in an order that differs by process."""
    content = cast("dict[str, object]", json.loads(path.read_text(encoding="utf-8")))
    for name, value in content.items():
        if isinstance(value, list):
            content[name] = sorted(cast("list[str]", value))
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
