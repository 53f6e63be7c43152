"""What a Dockerfile says, and what its build context holds: as much of both as this project's own files use.

globals, stages = read(Path("docker/Dockerfile").read_text())
stages[-1].last("USER").text                                          # "10001:10001"
list(context_files(Path("."), Path(".dockerignore").read_text()))     # relative paths that COPY can see

Not read, and refused by name: heredocs, ``# escape=``, ``RUN --mount`` and whatever else needs BuildKit.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, cast

WORDS: Final = frozenset(
    ("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "HEALTHCHECK", "LABEL", "RUN", "USER", "VOLUME", "WORKDIR")
)
_FLAGS: Final = {"COPY": {"from"}, "HEALTHCHECK": {"interval", "timeout", "start-period", "retries"}}
_VARIABLE: Final = re.compile(r"\$(?:(\w+)|\{(\w+)(?::([-+])([^}]*))?\})")


class Unreadable(ValueError):
    """The Dockerfile says something that `read` does not know, or that cannot be right."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """``text`` is everything after word and flags; ``line`` the first of its lines, from 1."""

    line: int
    word: str
    flags: Mapping[str, str]
    text: str

    def listed(self) -> list[str]:
        """The words of the exec form, ``["tini", "--"]``; Unreadable for the shell form."""
        try:
            listed = json.loads(self.text)
        except ValueError:
            listed = None
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in cast("list[object]", listed)):
            raise Unreadable(f'line {self.line}: {self.word} needs the form ["program", "argument"]')
        return cast("list[str]", listed)

    def pairs(self, variables: Mapping[str, str]) -> dict[str, str]:
        """``NAME=value`` of ENV, LABEL and ARG, expanded; an ARG without a value is left out."""
        split = (word.partition("=") for word in shlex.split(self.text))
        return {name: expand(value, variables) for name, equals, value in split if equals}


@dataclass(frozen=True, slots=True)
class Stage:
    base: str
    """As written: ``${BASE_IMAGE}``."""

    name: str
    instructions: tuple[Instruction, ...]

    def all(self, word: str) -> list[Instruction]:
        return [one for one in self.instructions if one.word == word]

    def last(self, word: str) -> Instruction:
        """Raises Unreadable where there is none."""
        if found := self.all(word):
            return found[-1]
        raise Unreadable(f"stage {self.name or self.base}: there is no {word}")


def read(text: str) -> tuple[dict[str, str], list[Stage]]:
    """The ARGs before the first FROM with their defaults, and the stages in order."""
    arguments: dict[str, str] = {}
    stages: list[tuple[str, str, list[Instruction]]] = []
    for one in instructions(text):
        if one.word == "FROM":
            base, _, name = one.text.partition(" AS ")
            stages.append((base.strip(), name.strip(), []))
        elif stages:
            stages[-1][2].append(one)
        elif one.word == "ARG":
            arguments |= one.pairs(arguments)
        else:
            raise Unreadable(f"line {one.line}: {one.word} before the first FROM")
    return arguments, [Stage(base, name, tuple(inside)) for base, name, inside in stages]


def instructions(text: str) -> Iterator[Instruction]:
    """Every instruction, its lines joined. Comments and empty lines within an instruction belong to none."""
    first, joined = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("#"):
            if re.match(r"#\s*(escape|syntax)\s*=", line, re.IGNORECASE):
                raise Unreadable(f"line {number}: parser directives are not read")
            continue
        if not line.strip():
            continue
        first = first or number
        if line.rstrip().endswith("\\"):
            joined += line.rstrip()[:-1]
            continue
        yield _instruction(first, joined + line)
        first, joined = 0, ""
    if joined:
        raise Unreadable(f"line {first}: the instruction does not end")


def _instruction(line: int, text: str) -> Instruction:
    word, _, rest = text.strip().partition(" ")
    word, rest, flags = word.upper(), rest.strip(), dict[str, str]()
    if word not in WORDS:
        raise Unreadable(f"line {line}: {word} is not read here")
    while word in (*_FLAGS, "RUN") and (flag := re.match(r"--([a-z-]+)=(\S+)\s*", rest)):
        flags[flag[1]], rest = flag[2], rest[flag.end() :]
    if unknown := flags.keys() - _FLAGS.get(word, set()):
        raise Unreadable(f"line {line}: {word} --{min(unknown)} is not read here: does it need BuildKit?")
    if word in ("RUN", "COPY") and "<<" in rest:
        raise Unreadable(f"line {line}: heredocs need BuildKit")
    return Instruction(line, word, flags, rest)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """``$NAME``, ``${NAME}``, ``${NAME:-otherwise}`` and ``${NAME:+instead}`` replaced; an unset name is empty."""

    def value(found: re.Match[str]) -> str:
        held = variables.get(found[1] or found[2], "")
        if found[3] == "-":
            return held or found[4]
        return found[4] if found[3] == "+" and held else "" if found[3] == "+" else held

    return _VARIABLE.sub(value, text)


def context_files(root: Path, dockerignore: str) -> Iterator[PurePosixPath]:
    """Files under ``root`` that the last matching pattern does not ignore, sorted, relative to it.

    As in Docker a pattern also holds for everything below what it matches, and ``!`` takes back what earlier patterns
    ignored: https://docs.docker.com/build/concepts/context/#dockerignore-files
    """
    lines = (line.strip() for line in dockerignore.splitlines())
    patterns = [(line.startswith("!"), _as_regex(line.lstrip("!"))) for line in lines if line and line[0] != "#"]
    kept = [line.strip()[1:] for line in dockerignore.splitlines() if line.startswith("!")]
    # only where something is kept: an environment beside the code holds a hundred thousand files
    starts = [root / one for one in kept] if "*" in dockerignore.split() else [root]
    found = {path for start in starts for path in (start.rglob("*") if start.is_dir() else [start])}
    for path in sorted(found):
        if not path.is_file():
            continue
        relative = PurePosixPath(path.relative_to(root).as_posix())
        ignored = False
        for takes_back, pattern in patterns:
            if pattern.match(str(relative)):
                ignored = not takes_back
        if not ignored:
            yield relative


def _as_regex(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.strip("/"))
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(wild.get(part, re.escape(part)) for part in parts) + r"(?:/.*)?\Z")
