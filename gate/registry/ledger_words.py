"""The ledger in words: what people read in MLflow's pages."""

from __future__ import annotations

from .ledger_entries import Entry, Standing, at_version

_KINDS = {"promotion": "Promotion", "rollback": "Rollback", "hand-made": "Moved by hand", "refusal": "Refusal"}


def title(model: str) -> str:
    return f"promotion ledger of {model!r}"


def ledger_description(model: str) -> str:
    return (
        f"Every move of an alias of registered model {model}, and every refusal to move one, in order; written by "
        "finetune-gate. The versions here are entries, not models: an entry whose move counts is carried out on "
        f"{model}. Delete nothing: what was written after a deleted entry no longer counts."
    )


def description(model: str, entry: Entry) -> str:
    """Of one entry, in markdown."""
    if entry.kind == "refusal":
        head = f"**Refusal**: version {entry.after} of {model} was not given alias {entry.alias}"
    else:
        head = f"**{_KINDS[entry.kind]}** of {model}, alias {entry.alias}: "
        head += f"{at_version(entry.before)} -> {at_version(entry.after)}"
    if entry.stage is not None:
        head += f"; stage {entry.stage_before} -> {entry.stage}"
    parts = [head, _escaped(entry.reason), f"By {_escaped(entry.actor)} ({_escaped(entry.trigger)}), {entry.at}."]
    if entry.kind != "refusal":
        against = f"entry {entry.generation}" if entry.generation else "the alias as it was before the first entry"
        parts.append(f"Counts if the state it was judged against, {against}, was still current.")
    if entry.record_uri:
        parts.append(f"Record: `{entry.record_uri}`, digest `{entry.decision_digest[:12]}`.")
    return "\n\n".join(part for part in parts if part)


def why_by_hand(standing: Standing, serves: str | None, *, gone: bool, unfinished: bool) -> str:
    """Why an alias is taken as it is. ``gone``: the version that the ledger names was deleted."""
    if standing.broken_at is not None:
        return f"entry {standing.broken_at} was deleted from the ledger; the alias is taken as it is"
    if gone and unfinished:
        return f"version {standing.version} was deleted before the alias could be pointed to it"
    if gone and serves is None:
        return f"version {standing.version} was deleted, and the alias went with it"
    if serves is None:
        return "the alias was removed outside the gate"
    return "the alias was moved outside the gate"


def completed(entry: Entry) -> str:
    """What to say of a move that was found unfinished, and was carried out."""
    whose = "a rollback that was interrupted" if entry.kind == "rollback" else "an earlier run's move"
    return f"{whose} was completed: {entry.said()}"


def set_right(entry: Entry) -> str:
    """What to say of an alias that a process set late, to where an earlier move led, and that is back at ``entry``."""
    return f"a write that came late was set right: {entry.alias} -> {at_version(entry.after)}"


def written_down(alias: str, serves: str | None, why: str) -> str:
    """What to say of a move that was made by hand."""
    return f"a move by hand was written down: {alias} -> {at_version(serves)}: {why}"


def _escaped(text: str) -> str:
    """Markdown of others' words must stay words."""
    return "".join(f"\\{char}" if char in r"\`*_{}[]<>()#+-.!|~&" else char for char in text)
