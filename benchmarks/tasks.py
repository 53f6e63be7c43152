"""Four tasks made by seed, as files that both sides read: texts, two kinds of choices, and prompts to go on from.

    tasks = make_tasks(folder, share=1.0)
    tasks.folder / "texts.jsonl"      # {"text": ...}
    tasks.folder / "short.jsonl"      # {"prompt": ..., "gold": 0...5}: six options of one token each
    tasks.folder / "long.jsonl"       # the same, with options of several tokens
    tasks.folder / "prompts.jsonl"    # {"prompt": ..., "length": ...}: one beginning, ends of different lengths

The words are made up of syllables and follow Zipf's law, so that a tokenizer trained on them splits them as one does
natural language: common words whole, rare ones in parts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TEXTS, CHOICES, PROMPTS = 200, 300, 300
"""How many there are of each at ``share`` 1."""

SHORT = ("billing", "access", "order", "praise", "bug", "other")
LONG = (
    "billing and refunds",
    "access to the account",
    "order or delivery",
    "praise for the team",
    "bug in the new release",
    "other matters of the day",
)
DELIMITER = " "
STOP = ("g", "z")
"""Letters rare enough that answers end at very different lengths."""
MAX_NEW = 32
KINDS = ("perplexity", "one-token choices", "several-token choices", "generation")

_SYLLABLES = [first + vowel + last for first in "bdfgklmnprstvz" for vowel in "aeiou" for last in ("", "n", "r", "s")]


@dataclass(frozen=True, slots=True)
class Tasks:
    """Where the files lie, and how large a part of the full tasks they hold."""

    folder: Path
    share: float

    def rows(self, name: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.folder / f"{name}.jsonl").read_text("utf-8").splitlines()]


class Writer:
    """Made-up sentences, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        lexicon = np.random.default_rng(1)
        made = ["".join(lexicon.choice(_SYLLABLES, size=size)) for size in lexicon.integers(1, 4, size=3000)]
        common = " ".join((*SHORT, *LONG)).split()
        self._words = list(dict.fromkeys([*common, *made]))
        weights = 1.0 / (np.arange(len(self._words)) + 5.0)
        self._weights = weights / weights.sum()

    def words(self, low: int, high: int) -> str:
        count = int(self._random.integers(low, high + 1))
        return " ".join(str(word) for word in self._random.choice(self._words, size=count, p=self._weights))

    def below(self, bound: int) -> int:
        return int(self._random.integers(bound))


def corpus(texts: int = 3000) -> list[str]:
    """What tokenizers are trained on."""
    writer = Writer(0)
    return [f"{writer.words(20, 60)}\nQueue: {SHORT[at % 6]}\nTopic: {LONG[at % 6]}" for at in range(texts)]


def make_tasks(folder: Path, share: float = 1.0, seed: int = 7) -> Tasks:
    """Write the files of all four tasks into ``folder``."""
    writer = Writer(seed)
    folder.mkdir(parents=True, exist_ok=True)

    def write(name: str, rows: list[dict[str, object]]) -> None:
        lines = [json.dumps({"id": f"{name}-{at}", **row}) + "\n" for at, row in enumerate(rows)]
        (folder / f"{name}.jsonl").write_text("".join(lines), "utf-8")

    write("texts", [{"text": writer.words(10, 120)} for _ in range(round(TEXTS * share))])
    for name, labels in (("short", SHORT), ("long", LONG)):
        rows: list[dict[str, object]] = []
        for _ in range(round(CHOICES * share)):
            gold = writer.below(6)
            rows.append({"prompt": f"{writer.words(8, 60)}\nQueue:", "gold": gold, "label": labels[gold]})
        write(name, rows)
    beginning = "Go on from the notes below. " + writer.words(85, 85)
    prompts: list[dict[str, object]] = [
        {
            "prompt": f"{beginning}\nNotes: {writer.words(2, 30)}\nText:",
            "length": 4 + writer.below(61),
            "label": SHORT[writer.below(6)],
        }
        for _ in range(round(PROMPTS * share))
    ]
    write("prompts", prompts)
    return Tasks(folder, share)
