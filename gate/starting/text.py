"""The text of a gate file: every name and value that came from data or registry is quoted, every comment one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from ..reports.inert import inert_text
from .found import DataLine, Entry, RuleLine, Start

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[.-][A-Za-z0-9_]+)*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""Read as something else than text by YAML 1.1 or 1.2."""

_WIDTH = 116


def gate_file_text(start: Start) -> str:
    """The whole file. ``check`` accepts it where the evaluators of ``start`` accept their data."""
    registered = start.registered
    version = (registered.version if registered else None) or "latest"
    lines = [
        "# What a new version of this model must show before it may serve.",
        f"# `finetune-gate check` reads this file; `finetune-gate run --version {comment(version)}` gates a version.",
        f"model: {value(start.model)}",
        *_noted(registered.found if registered else start.unknown, "# "),
        "base: auto   # what it was fine-tuned from; or models:/NAME/1, a folder, a cached hub id, openai:/NAME",
        *_noted(registered.base_note if registered else "", "# "),
        'champion: "@champion"   # what serves now',
        *_noted(registered.champion_note if registered else "", "# "),
        "",
        "data:",
    ]
    for one in start.data:
        lines += _data(one)
    lines += ["", "evaluators:"]
    for entry in start.entries:
        lines += _entry(entry)
    lines += ["", "rules:   # decided by 95 % intervals: passed, failed, or not enough evidence (inconclusive)"]
    for rule in start.rules:
        lines += _rule(rule)
    lines += ["", "promotion: {alias: champion}   # what a promotion moves"]
    if registered is not None:
        lines += _noted(registered.stages_note, "# ")
        lines += _trust(registered.runs_code)
    return "\n".join([*lines, ""])


def value(found: object) -> str:
    """``found`` in YAML on one line. Texts that could be read as anything else are quoted."""
    if isinstance(found, str):
        return _text(found)
    if isinstance(found, Mapping):
        settings = cast("Mapping[str, object]", found)
        return "{" + ", ".join(f"{value(key)}: {value(one)}" for key, one in settings.items()) + "}"
    if isinstance(found, (list, tuple)):
        return "[" + ", ".join(value(one) for one in cast("Sequence[object]", found)) + "]"
    if isinstance(found, bool):
        return "true" if found else "false"
    return repr(found)


def comment(text: str, limit: int = 400) -> str:
    """``text`` as it may stand in a comment: one line, nothing that acts, nothing that YAML cannot hold."""
    return "".join(one if one.isprintable() else "\ufffd" for one in inert_text(text, limit=limit))


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(one: str) -> str:
    """Not as JSON does it: YAML reads its pairs of surrogates as two characters."""
    if one in '"\\':
        return "\\" + one
    if one.isprintable():
        return one
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(one)
    if short is not None:
        return short
    code = ord(one)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _noted(note: str, before: str) -> Iterator[str]:
    """``note`` as comment lines of a bearable width."""
    line = ""
    for word in comment(note, 2000).split():
        if line and len(before) + len(line) + 1 + len(word) > _WIDTH:
            yield before + line
            line = ""
        line = f"{line} {word}" if line else word
    if line:
        yield before + line


def _data(one: DataLine) -> Iterator[str]:
    if one.columns:
        yield f"  {one.name}: {value({'path': one.path, **one.columns})}"
    else:
        yield f"  {one.name}: {value(one.path)}"
    counted = f"{one.examples:,} examples"
    if one.clusters != one.examples:
        counted += f" in {one.clusters:,} groups, which count as one each where they are alike"
    yield from _noted(f"{counted}; {one.note}" if one.note else counted, "  # ")


def _entry(entry: Entry) -> Iterator[str]:
    mark = "  # " if entry.offered else "  "
    for why in entry.why:
        yield from _noted(why, "  # ")
    whole = f"{mark}- {value({entry.kind: entry.settings})}".replace("- {", "- ", 1)[:-1]
    if len(whole) <= _WIDTH and len(entry.settings) <= 2:
        yield whole
        return
    yield f"{mark}- {entry.kind}:"
    for key, setting in entry.settings.items():
        yield f"{mark}    {key}: {value(setting)}"


def _rule(rule: RuleLine) -> Iterator[str]:
    for why in rule.why:
        yield from _noted(why, "  # ")
    yield f"{'  # ' if rule.offered else '  '}- {value(rule.settings)}"


def _trust(runs_code: str) -> Iterator[str]:
    if runs_code:
        yield ""
        yield from _noted(runs_code, "# ")
        yield "# trust: code"
