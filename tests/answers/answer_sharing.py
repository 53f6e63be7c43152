"""Runs on several machines that share a place, as short as they can be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from answer_shards import BASE, BOT, shard

from finetune_gate.gate.answers import ModelKey, SharedAnswers, StoreLimits, open_answers, shared_answers
from finetune_gate.gate.answers.places import Pack

LIMITS = StoreLimits()


def place_at(url: str) -> SharedAnswers:
    place = shared_answers(url, None)
    assert place is not None
    return place


def run(home: Path, url: str, shards: Sequence[int], model: ModelKey = BOT) -> tuple[list[int], list[str]]:
    """A run that wants ``shards``: which it had to compute, and what it said."""
    said: list[str] = []
    computed: list[int] = []
    with open_answers(home, [model, BASE], shared=place_at(url), limits=LIMITS, say=said.append) as store:
        for number in shards:
            wanted = shard(number)
            known = store.get(list(wanted))
            assert all(wanted[at] == one for at, one in known.items())
            if len(known) < len(wanted):
                store.put(wanted, model)
                computed.append(number)
    return computed, said


def packs_in(url: str, model: ModelKey = BOT) -> list[Pack]:
    return place_at(url).packs(model.digest)
