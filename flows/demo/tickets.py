"""Help-desk tickets for six queues, and the prose of the help desk: generated, seeded, offline.

    data = make_demo_data(seed=0)
    data.train[0].text              # "Hi team, it seems that the projector hums but does nothing. ..."
    data.train[0].label             # "repair"
    PROMPT_TEMPLATE.format(text=data.train[0].text)      # what a model reads; " repair" continues it

A ticket says one noun and one phrase of its queue. A fifth of these pairs is kept out of the training tickets,
and the holdout is made of those pairs alone: a model that learned what the words mean can sort them, a
model that learned its tickets by heart cannot.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .wording import (
    CLOSINGS,
    DAYS,
    LEADS,
    MONTHS,
    NAMES,
    PLACES,
    PROSE_SENTENCES,
    SALUTATIONS,
    WORDING,
    QueueWording,
)

QUEUES: Final[tuple[str, ...]] = tuple(WORDING)
"""The labels, in the order of the gate file."""

PROMPT_TEMPLATE: Final = "Ticket: {text}\nQueue:"
"""The text a model is asked to continue; a label follows as `" " + label`."""

HELD_OUT_PER_NOUN: Final = 2
"""Of the ten phrases that each noun can take: 20 % of the pairs."""

SHARED_WORDS: Final = 10
"""No holdout ticket has this many words in a row in common with a training ticket; leak checks start at 13."""

PROSE_LENGTHS: Final = (2, 2, 3, 3, 4, 5, 6, 7, 8, 10)
"""Sentences per prose document; each length is as likely as the others."""


@dataclass(frozen=True)
class Ticket:
    """One ticket; `pair` is the (noun, phrase) that it was made from."""

    id: str
    text: str
    label: str
    pair: tuple[str, str]

    @property
    def prompt(self) -> str:
        return PROMPT_TEMPLATE.format(text=self.text)

    def row(self) -> dict[str, str]:
        """The ticket as a dataset row."""
        return {"id": self.id, "text": self.text, "label": self.label}


@dataclass(frozen=True)
class Prose:
    """One document of plain prose."""

    id: str
    text: str

    def row(self) -> dict[str, str]:
        """The document as a dataset row."""
        return {"id": self.id, "text": self.text}


@dataclass(frozen=True)
class DemoData:
    """`train` and `holdout` share no pair and no text; `prose` and `corpus` share no document.

    `few` is the part of `train` that the over-fitted candidate sees; `corpus` is what the base model reads.
    """

    train: tuple[Ticket, ...]
    few: tuple[Ticket, ...]
    holdout: tuple[Ticket, ...]
    prose: tuple[Prose, ...]
    corpus: tuple[Prose, ...]


def make_demo_data(
    seed: int = 0, *, train: int = 600, few: int = 18, holdout: int = 240, prose: int = 60, corpus: int = 1200
) -> DemoData:
    """Generate all texts of the demo. Same arguments, same texts.

    The ticket counts are totals over the six queues and are balanced over them.

    Raises:
        ValueError: a ticket count is not a positive multiple of six, or `few` is larger than `train`.
    """
    for name, count in (("train", train), ("few", few), ("holdout", holdout)):
        if count <= 0 or count % len(QUEUES):
            raise ValueError(f"{name}={count}: expected a positive multiple of {len(QUEUES)}, the number of queues")
    if few > train:
        raise ValueError(f"few={few} is more than train={train}: the few are a part of the training tickets")
    rng = random.Random(f"tickets-{seed}")
    seen: list[tuple[str, tuple[str, str]]] = []
    unseen: list[tuple[str, tuple[str, str]]] = []
    for queue in QUEUES:
        kept, held_out = split_pairs(queue, rng)
        seen += [(queue, pair) for pair in _cycle(kept, train // len(QUEUES), rng)]
        unseen += [(queue, pair) for pair in _cycle(held_out, holdout // len(QUEUES), rng)]
    rng.shuffle(seen)
    rng.shuffle(unseen)
    train_tickets = _tickets(seen, rng)
    holdout_tickets = _tickets(unseen, rng, unlike=train_tickets)
    texts = _prose_texts(prose + corpus, random.Random(f"prose-{seed}"))
    documents = [Prose(f"prose-{index:04d}", text) for index, text in enumerate(texts, start=1)]
    return DemoData(
        train=train_tickets,
        few=tuple(ticket for queue in QUEUES for ticket in _few(train_tickets, queue, few // len(QUEUES))),
        holdout=holdout_tickets,
        prose=tuple(documents[:prose]),
        corpus=tuple(documents[prose:]),
    )


def split_pairs(queue: str, rng: random.Random) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """All (noun, phrase) pairs of a queue: those for training, and those held out.

    Each noun and each phrase loses the same number of partners, so that every word of a held-out pair is
    met in training.
    """
    wording = WORDING[queue]
    nouns = rng.sample(wording.nouns, len(wording.nouns))
    phrases = rng.sample(wording.phrases, len(wording.phrases))
    kept: list[tuple[str, str]] = []
    held_out: list[tuple[str, str]] = []
    for row, noun in enumerate(nouns):
        for column, phrase in enumerate(phrases):
            is_held_out = (column - row) % len(phrases) < HELD_OUT_PER_NOUN
            (held_out if is_held_out else kept).append((noun, phrase))
    return kept, held_out


def write_data(data: DemoData, folder: Path) -> None:
    """Write `train.jsonl`, `train-few.jsonl`, `holdout.jsonl` and `prose.jsonl` into an existing folder."""
    write_jsonl([ticket.row() for ticket in data.train], folder / "train.jsonl")
    write_jsonl([ticket.row() for ticket in data.few], folder / "train-few.jsonl")
    write_jsonl([ticket.row() for ticket in data.holdout], folder / "holdout.jsonl")
    write_jsonl([document.row() for document in data.prose], folder / "prose.jsonl")


def write_jsonl(rows: Sequence[dict[str, str]], path: Path) -> None:
    """Write one JSON object a line, UTF-8, with the same bytes on every system."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8", newline="\n")


def _cycle(pairs: Sequence[tuple[str, str]], count: int, rng: random.Random) -> list[tuple[str, str]]:
    """`count` pairs in which no pair occurs twice before every pair has occurred once."""
    picked: list[tuple[str, str]] = []
    while len(picked) < count:
        picked += rng.sample(pairs, min(len(pairs), count - len(picked)))
    return picked


def _tickets(
    plan: Sequence[tuple[str, tuple[str, str]]], rng: random.Random, unlike: Sequence[Ticket] = ()
) -> tuple[Ticket, ...]:
    """One ticket per (queue, pair), numbered on after `unlike`, with which none shares `SHARED_WORDS` in a row."""
    texts: set[str] = set()
    taken = {run for ticket in unlike for run in word_runs(ticket.text, SHARED_WORDS)}
    tickets: list[Ticket] = []
    for number, (queue, pair) in enumerate(plan, start=len(unlike) + 1):
        text = _ticket_text(pair, rng)
        while text in texts or not taken.isdisjoint(word_runs(text, SHARED_WORDS)):
            text = _ticket_text(pair, rng)
        texts.add(text)
        tickets.append(Ticket(f"ticket-{number:04d}", text, queue, pair))
    return tuple(tickets)


def word_runs(text: str, length: int) -> set[tuple[str, ...]]:
    """All runs of `length` words in a text (the whole text, where it is shorter), case and punctuation aside."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[start : start + length]) for start in range(max(1, len(words) - length + 1))}


def _few(tickets: Sequence[Ticket], queue: str, count: int) -> list[Ticket]:
    """The first tickets of a queue, those that repeat a noun or a phrase last."""
    words: set[str] = set()
    fresh: list[Ticket] = []
    repeated: list[Ticket] = []
    for ticket in (ticket for ticket in tickets if ticket.label == queue):
        (fresh if words.isdisjoint(ticket.pair) else repeated).append(ticket)
        words.update(ticket.pair)
    return [*fresh, *repeated][:count]


def _ticket_text(pair: tuple[str, str], rng: random.Random) -> str:
    name, place = rng.choice(NAMES), rng.choice(PLACES)
    salutation = rng.choice(SALUTATIONS).format(name=name, place=place)
    lead = rng.choice(LEADS)
    body = " ".join(part for part in (lead, *pair) if part)
    if not salutation.endswith(","):
        body = body[0].upper() + body[1:]
    closing = rng.choice(CLOSINGS).format(name=name, number=rng.randint(100, 999))
    return f"{salutation} {body}. {closing}".lstrip()


def _prose_texts(count: int, rng: random.Random) -> list[str]:
    """Different documents. Each keeps to one person, one queue and one topic.

    The topic is the field that its things come from: what belongs together is known before any fine-tuning. The
    queue that it names is drawn apart from the topic: which queue a thing belongs to is not.
    """
    texts: dict[str, None] = {}
    while len(texts) < count:
        topic, queue, name = WORDING[rng.choice(QUEUES)], rng.choice(QUEUES), rng.choice(NAMES)
        sentences = rng.sample(PROSE_SENTENCES, rng.choice(PROSE_LENGTHS))
        texts[" ".join(_prose_sentence(pattern, topic, queue, name, rng) for pattern in sentences)] = None
    return list(texts)


def _prose_sentence(pattern: str, topic: QueueWording, queue: str, name: str, rng: random.Random) -> str:
    noun, noun2, noun3 = rng.sample(topic.nouns, 3)
    phrase, phrase2 = rng.sample(topic.phrases, 2)
    return pattern.format(
        queue=queue,
        queue2=rng.choice([other for other in QUEUES if other != queue]),
        name=name,
        other=rng.choice([other for other in NAMES if other != name]),
        noun=noun,
        noun2=noun2,
        noun3=noun3,
        phrase=phrase,
        phrase2=phrase2,
        place=rng.choice(PLACES),
        day=rng.choice(DAYS),
        month=rng.choice(MONTHS),
        count=rng.randint(11, 99),
    )
