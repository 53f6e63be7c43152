"""Pieces of gate files, as the docs show them, made whole with what their page said before."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, cast

from ruamel.yaml import YAML

from finetune_gate.evaluators.classification import Classification
from finetune_gate.gate.gate_file.settings import GateFile

SECTIONS = frozenset(GateFile.model_fields)

DATA = [
    "holdout",
    "train",
    "test",
    "questions",
    "ratings",
    "prose",
    "chats",
    "tickets",
    "exam",
    "tasks",
    "mails",
    "bench",
    "general",
    "manual",
    "all_of_train",
    "prompts",
]
"""Names of datasets that pieces speak of. What lies behind them is not read."""

EVALUATORS = [
    {"classification": {"data": "holdout", "labels": ["billing", "bug", "praise"]}},
    {"perplexity": {"data": "holdout"}},
]
"""Those that rules may speak of without their page having shown them."""

SPARE = {"perplexity": {"name": "spare", "data": "holdout"}}, {"metric": "spare.bits_per_byte", "max": 40}
"""An evaluator and a rule of their own: a gate file needs one of each, and a rule that can block."""


def read_all(text: str) -> object:
    """YAML 1.2 in which a key stands once, as gate files are read."""
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = False
    return cast("object", yaml.load(text))


def written(value: object) -> str:
    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(value, stream)
    return stream.getvalue()


def sections_of(piece: object) -> dict[str, Any] | None:
    """The sections of a gate file that a piece shows; None for another kind of file. A piece may be entries of a list,
    or settings of a classification."""
    if isinstance(piece, list):
        entries = cast("list[dict[str, Any]]", piece)
        return {"rules" if all("metric" in one for one in entries) else "evaluators": entries}
    found = cast("dict[str, Any]", piece)
    if found and set(found) <= set(Classification.model_fields):
        return {"evaluators": [{"classification": {**EVALUATORS[0]["classification"], **found}}]}
    return found if set(found) <= SECTIONS else None


def whole_gate(piece: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """A gate file of the piece, what the page showed ``before`` it, and the least that is needed besides.

    A piece that is whole by itself stays as it is."""
    if {"model", "data", "evaluators", "rules"} <= set(piece):
        return dict(piece)
    evaluator, rule = SPARE
    gate = {"model": "support-bot", "evaluators": EVALUATORS, "rules": [], **before, **piece}
    gate["data"] = {**{name: f"{name}.jsonl" for name in DATA}, **before.get("data", {}), **piece.get("data", {})}
    shown = {kind for one in gate["evaluators"] for kind in one}
    gate["evaluators"] = [*gate["evaluators"], *(one for one in EVALUATORS if not shown & set(one)), evaluator]
    gate["rules"] = [*(gate["rules"] if "rules" in piece or "evaluators" not in piece else []), rule]
    return gate
