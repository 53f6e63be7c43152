"""The fenced code blocks of README and docs, and the marks of those that cannot be run.

    <!-- not run: needs a GPU -->

on the line before a block says so to a reader of the source, and to nobody else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
GENERATED = {"docs/cli.md"}
"""Compared with their source by tests of their own."""

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(r"<!-- not run: (?P<reason>[^\n]+?) -->\s*\Z")


@dataclass(frozen=True, slots=True)
class Block:
    """``where`` is page and line; ``not_run`` the reason in its mark, or empty."""

    page: str
    line: int
    language: str
    text: str
    not_run: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    for fence in _FENCE.finditer(text):
        before = text[: fence.start()]
        mark = _MARK.search(before)
        indent = len(fence["indent"])
        inner = "".join(line[indent:] for line in fence["text"].splitlines(keepends=True))
        name = page.relative_to(ROOT).as_posix()
        reason = mark["reason"] if mark else ""
        found.append(Block(name, before.count("\n") + 1, fence["language"], inner, reason))
    return found


BLOCKS = [block for page in PAGES if page.is_file() for block in blocks_of(page)]
READ = [block for block in BLOCKS if block.page not in GENERATED]


def pages_with(*languages: str) -> list[str]:
    return sorted({block.page for block in READ if block.language in languages})


def blocks_on(page: str, *languages: str) -> list[Block]:
    return [block for block in READ if block.page == page and block.language in languages]
