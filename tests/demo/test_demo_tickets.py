from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from finetune_gate.flows.demo import PROMPT_TEMPLATE, QUEUES, DemoData, make_demo_data
from finetune_gate.flows.demo.tickets import SHARED_WORDS, word_runs, write_data
from finetune_gate.flows.demo.wording import WORDING

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module", params=SEEDS)
def data(request: pytest.FixtureRequest) -> DemoData:
    return make_demo_data(request.param)


def test_the_same_seed_makes_the_same_texts() -> None:
    assert make_demo_data(7) == make_demo_data(7)


def test_another_seed_makes_other_texts() -> None:
    assert make_demo_data(7).train != make_demo_data(8).train
    assert make_demo_data(7).prose != make_demo_data(8).prose


def test_sizes_and_balance(data: DemoData) -> None:
    for tickets, each in ((data.train, 100), (data.few, 3), (data.holdout, 40)):
        assert Counter(ticket.label for ticket in tickets) == dict.fromkeys(QUEUES, each)
    assert len(data.prose) == 60


def test_holdout_pairs_are_never_trained_on(data: DemoData) -> None:
    trained = {ticket.pair for ticket in data.train}
    held_out = {ticket.pair for ticket in data.holdout}
    assert trained.isdisjoint(held_out)
    assert len(trained) == 480
    assert len(held_out) == 120


def test_every_word_of_the_holdout_was_trained_on(data: DemoData) -> None:
    trained = {part for ticket in data.train for part in ticket.pair}
    assert {part for ticket in data.holdout for part in ticket.pair} <= trained


def test_base_prose_pairs_no_noun_with_a_phrase(data: DemoData) -> None:
    pairs = [f"{noun} {phrase}" for words in WORDING.values() for noun in words.nouns for phrase in words.phrases]
    corpus = "\n".join(document.text for document in (*data.corpus, *data.prose))
    assert not [pair for pair in pairs if pair in corpus]


def test_no_text_occurs_twice(data: DemoData) -> None:
    texts = [row.text for row in (*data.train, *data.holdout, *data.prose, *data.corpus)]
    assert len(set(texts)) == len(texts)
    ids = [row.id for row in (*data.train, *data.holdout, *data.prose, *data.corpus)]
    assert len(set(ids)) == len(ids)


def test_holdout_shares_no_long_run_of_words_with_training(data: DemoData) -> None:
    trained = {run for ticket in data.train for run in word_runs(ticket.text, SHARED_WORDS)}
    assert not [t.text for t in data.holdout if not trained.isdisjoint(word_runs(t.text, SHARED_WORDS))]


def test_no_ticket_gives_its_queue_away(data: DemoData) -> None:
    for ticket in (*data.train, *data.holdout):
        assert not [queue for queue in QUEUES if queue in ticket.text.lower()], ticket.text


def test_tickets_are_whole_sentences(data: DemoData) -> None:
    for ticket in (*data.train, *data.holdout):
        assert ticket.text == ticket.text.strip()
        assert ticket.text[0].isupper()
        assert ticket.text[-1] in ".?"
        assert not set("{}\n") & set(ticket.text)
        assert "  " not in ticket.text


def test_few_is_a_part_of_train_without_repeated_words(data: DemoData) -> None:
    assert set(data.few) <= set(data.train)
    words = [part for ticket in data.few for part in ticket.pair]
    assert len(set(words)) == len(words)


def test_prose_has_the_queue_names_and_different_lengths(data: DemoData) -> None:
    corpus = " ".join(document.text for document in data.corpus)
    assert all(corpus.count(f" {queue} ") > 50 for queue in QUEUES)
    lengths = [len(document.text) for document in data.prose]
    assert max(lengths) > 4 * min(lengths)


def test_prompt_is_the_template(data: DemoData) -> None:
    ticket = data.train[0]
    assert ticket.prompt == f"Ticket: {ticket.text}\nQueue:"
    assert PROMPT_TEMPLATE == "Ticket: {text}\nQueue:"


@pytest.mark.parametrize(
    ("sizes", "found"),
    [({"train": 20}, "train=20"), ({"holdout": 0}, "holdout=0"), ({"train": 6, "few": 12}, "few=12")],
)
def test_sizes_that_cannot_be_balanced_are_refused(sizes: dict[str, int], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        make_demo_data(0, **sizes)


def test_files(tmp_path: Path) -> None:
    data = make_demo_data(0, train=12, few=6, holdout=6, prose=3, corpus=1)
    write_data(data, tmp_path)
    rows = {path.name: [json.loads(line) for line in path.open(encoding="utf-8")] for path in tmp_path.iterdir()}
    assert {name: len(lines) for name, lines in rows.items()} == {
        "train.jsonl": 12,
        "train-few.jsonl": 6,
        "holdout.jsonl": 6,
        "prose.jsonl": 3,
    }
    assert rows["train.jsonl"][0] == {"id": "ticket-0001", "text": data.train[0].text, "label": data.train[0].label}
    assert rows["holdout.jsonl"][0]["id"] == "ticket-0013"
    assert rows["prose.jsonl"][0] == {"id": "prose-0001", "text": data.prose[0].text}
