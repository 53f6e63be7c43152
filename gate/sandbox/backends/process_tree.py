"""A process and all that came from it, as /proc shows them from the outside."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


class ProcessTree:
    """``ProcessTree(pid)``: what ``pid`` started, and what those did. In a namespace of its own nothing leaves it."""

    def __init__(self, root: int) -> None:
        self._root = root

    def memory_bytes(self, enough: int) -> int:
        """Memory held by all together, in bytes; zero where the kernel shows nothing.

        Shared pages count once. Up to ``enough`` it is an upper bound, which is quicker to find.
        """
        members = self._members()
        quick = sum(_resident(member) for member in members)
        return quick if quick <= enough else sum(_proportional(member) for member in members)

    def folder(self, path: str) -> int | None:
        """A descriptor of ``path`` as the newest process sees it; None where the kernel does not give it."""
        try:
            return os.open(f"/proc/{self._members()[-1]}/root{path}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None

    def first_to_go(self) -> None:
        """Where the machine runs out of memory, these are ended before anything else."""
        for member in self._members():
            try:
                Path(f"/proc/{member}/oom_score_adj").write_text("1000", encoding="ascii")
            except OSError:
                continue

    def _members(self) -> list[int]:
        found = [self._root]
        for member in found:
            try:
                for task in os.listdir(f"/proc/{member}/task"):
                    children = Path(f"/proc/{member}/task/{task}/children").read_text(encoding="ascii")
                    found += [int(child) for child in children.split()]
            except (OSError, ValueError):
                continue
        return found


def _resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def _proportional(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
