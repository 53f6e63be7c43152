"""Workflow commands in the log, and foreign text that must not become any.

    with one_stream():
        say(masks(secrets))
        with commands_held_off():
            print(anything)                       # no line of it is a command
        say(rule_annotations(record))

A runner takes lines of the log that begin with ``::`` for commands, and ``##[...]`` anywhere in a line, on standard
output and standard error alike. The two are read by themselves and in no order, so they are made one first.
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

import click

from finetune_gate.evaluators.errors import Problem
from finetune_gate.gate.record import DecisionRecord, RuleRecord
from finetune_gate.gate.reports.inert import inert_text

MOST: Final = 10
"""Annotations of a kind that GitHub shows of one step."""

Kind = Literal["error", "warning", "notice"]
_SECRET_VARIABLES: Final = (
    "OPENAI_API_KEY",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "PREFECT_API_KEY",
    "PREFECT_API_AUTH_STRING",
    "GITHUB_TOKEN",
    "HF_TOKEN",
    "FINETUNE_GATE_SIGNING_PASSWORD",
    "FINETUNE_GATE_GITHUB_TOKEN",
    "FINETUNE_GATE_WEBHOOK_SECRET",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
_ADDRESSES: Final = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "PREFECT_API_URL")
_SHORTEST_MASK: Final = 4
"""A shorter secret would blacken every log that it protects."""


def command(name: str, message: str, title: str = "") -> str:
    """``::error title=...::message``. Raises nothing: whatever the texts hold stays in its place."""
    properties = f" title={_escaped(title, property=True)}" if title else ""
    return f"::{name}{properties}::{_escaped(message)}"


def annotation(kind: Kind, message: str, title: str = "finetune-gate") -> str:
    """One of foreign text: a single line, and what would act in it spelled out."""
    return command(kind, inert_text(message, limit=1000), inert_text(title, limit=200))


def rule_annotations(record: DecisionRecord) -> list[str]:
    """Of rules that did not pass: errors where a blocking one failed, else warnings; at most `MOST` of a kind."""
    title = f"{record.model} {_version(record)}".strip()
    found: dict[Kind, list[RuleRecord]] = {"error": [], "warning": []}
    for rule in record.rules:
        if rule.outcome not in ("passed", "waived"):
            found["error" if rule.outcome == "failed" and rule.severity == "block" else "warning"].append(rule)
    lines: list[str] = []
    for kind, rules in found.items():
        lines += _at_most(kind, [(f"{rule.outcome}: {rule.text}", rule.sentence) for rule in rules], title)
    return lines


def problem_annotations(problems: Sequence[Problem]) -> list[str]:
    return list(_at_most("error", [(one.where, _in_a_line(one)) for one in problems], "no decision"))


def masks(environ: Mapping[str, str], others: Iterable[str] = ()) -> list[str]:
    """``::add-mask::`` of every secret that is known by its variable, or by one of ``others``; of passwords within
    addresses, too. None where no runner would read, and hide, these lines."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return []
    values = [environ.get(name, "") for name in (*_SECRET_VARIABLES, *others)]
    values += [password for name in _ADDRESSES for password in _password(environ.get(name, ""))]
    values += [pair.partition(":")[2] for pair in (environ.get("PREFECT_API_AUTH_STRING", ""),)]
    lines = dict.fromkeys(line.strip() for value in values for line in value.splitlines())
    return [command("add-mask", line) for line in lines if len(line) >= _SHORTEST_MASK]


def say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
    sys.stdout.flush()


@contextmanager
def commands_held_off() -> Generator[None]:
    """While this is open no line of the log is a command: the word that ends it is 128 random bits."""
    word = secrets.token_hex(16)
    _flush()
    say([f"::stop-commands::{word}"])
    try:
        yield
    finally:
        _flush()
        say(["", f"::{word}::"])  # an empty line first: what was printed may not have ended its own


@contextmanager
def one_stream() -> Generator[None]:
    """While this is open, standard error of this process and of all that it starts goes where standard output goes."""
    _flush()
    before = os.dup(2)
    try:
        os.dup2(1, 2)
        yield
    finally:
        _flush()
        os.dup2(before, 2)
        os.close(before)


def _at_most(kind: Kind, found: Sequence[tuple[str, str]], title: str) -> Iterator[str]:
    shown = found if len(found) <= MOST else found[: MOST - 1]
    for what, message in shown:
        yield annotation(kind, message, f"{title}: {what}")
    if len(found) > len(shown):
        yield annotation(kind, f"{len(found) - len(shown)} more: the summary of this job shows them", title)


def _escaped(text: str, *, property: bool = False) -> str:
    """As the runner reads it back; the sign of the escapes first."""
    signs = "%\r\n" + (":," if property else "")
    for sign in signs:
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text


def _in_a_line(problem: Problem) -> str:
    rest = ((problem.expected, "expected: "), (problem.way_out, "way out: "))
    return "; ".join([problem.found, *(f"{name}{text}" for text, name in rest if text)])


def _version(record: DecisionRecord) -> str:
    candidate = record.role("candidate")
    return f"v{candidate.version}" if candidate and candidate.version else ""


def _password(address: str) -> list[str]:
    """As it is written there, and as it is meant."""
    try:
        found = urlsplit(address).password
    except ValueError:
        return []
    return [found, unquote(found)] if found else []


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
