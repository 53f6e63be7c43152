"""Planning without a model: windows over long documents, rows that serve several questions, batches by token budget.

All functions are pure. A token is an int; a row is what one line of a batch computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """``targets`` are scored after ``context``; the model reads ``context + targets[:-1]``."""

    context: Ids
    targets: Ids


@dataclass(frozen=True, slots=True)
class Read:
    """Take the log-probabilities of ``targets`` at ``position`` of a row and at those right after it, for the tokens
    from ``slot`` on of request ``owner``. One object for many tokens, and not one each: that would be most of the work
    on a small model."""

    position: int
    targets: Ids
    owner: int
    slot: int


@dataclass(slots=True)
class Row:
    """A trunk of tokens with branches behind it, each of which continues the trunk and sees no other branch.

    ``reads`` says which log-probabilities are wanted. Most rows are a trunk alone.
    """

    trunk: Ids
    branches: tuple[Ids, ...] = ()
    reads: list[Read] = field(default_factory=list[Read])

    @property
    def length(self) -> int:
        return len(self.trunk) + sum(map(len, self.branches))

    @property
    def tokens(self) -> Ids:
        return self.trunk + tuple(token for branch in self.branches for token in branch)


def rolling_windows(tokens: Sequence[int], start: int, limit: int) -> list[Window]:
    """Windows over ``tokens`` in which each is scored exactly once, after ``start`` at the very beginning.

    No window reads more than ``limit`` tokens. Windows are disjoint: each has one token of context, but the last,
    which is moved left until it is full. This is the definition of EleutherAI/lm-evaluation-harness
    (get_rolling_token_windows with context_len=1), so that values can be compared with theirs.
    """
    if not tokens:
        return []
    ids = tuple(tokens)
    first = min(limit, len(ids))
    windows = [Window((start,), ids[:first])]
    done = first
    while done < len(ids):
        size = min(limit, len(ids) - done)
        end = done + size
        windows.append(Window(ids[max(0, end - limit - 1) : done], ids[done:end]))
        done = end
    return windows


def fit(context: Ids, targets: Ids, limit: int) -> tuple[Window, int] | None:
    """The window of a prompt with its continuation, and how many prompt tokens were cut from the left to make it fit.

    None where the continuation alone is too long: it needs at least one token before it.
    """
    if len(targets) > limit:
        return None
    dropped = max(0, len(context) + len(targets) - 1 - limit)
    return Window(context[dropped:], targets), dropped


def plan_rows(windows: Sequence[tuple[int, int, Window]], limit: int, branching: bool) -> list[Row]:
    """Rows that answer ``(owner, first slot, window)``; what several windows read alike is computed once.

    Windows with one context share its tokens: their continuations become branches, where the model can do that, the
    context is no shorter than they are, and no row grows beyond ``limit``. A continuation that only repeats the
    beginning of another costs nothing.
    """
    groups: dict[Ids, list[tuple[int, int, Window]]] = {}
    for owner, slot, window in windows:
        groups.setdefault(window.context, []).append((owner, slot, window))
    rows: list[Row] = []
    for context, members in groups.items():
        longest = _without_prefixes({window.targets[:-1] for _, _, window in members})
        worth_it = branching and len(context) >= max(map(len, longest))
        for branches in _packed(longest, limit - len(context)) if worth_it else [[branch] for branch in longest]:
            rows.append(_row(context, branches, members))
            taken = {id(member) for member in members if _holder(branches, member[2].targets[:-1]) is not None}
            members = [member for member in members if id(member) not in taken]
    return rows


def batch_end(lengths: Sequence[int], at: int, budget: int) -> int:
    """Where the batch that starts at ``at`` ends, given ``lengths`` sorted longest first: as many rows as keep to
    ``budget`` tokens with their padding, and always one."""
    rows = budget // max(1, lengths[at])
    return min(len(lengths), at + max(1, rows))


def common_prefix(prompts: Sequence[Ids]) -> int:
    """How many tokens all ``prompts`` begin with, leaving at least one token of each behind."""
    first, last = min(prompts), max(prompts)
    shared = 0
    for left, right in zip(first, last, strict=False):
        if left != right:
            break
        shared += 1
    return min(shared, min(map(len, prompts)) - 1)


def _without_prefixes(branches: set[Ids]) -> list[Ids]:
    """Branches that are not the beginning of another; in sorted order a beginning stands right before."""
    ordered = sorted(branches)
    return [
        branch
        for branch, following in zip(ordered, [*ordered[1:], None], strict=True)
        if following is None or following[: len(branch)] != branch
    ]


def _packed(branches: list[Ids], room: int) -> list[list[Ids]]:
    """Branches in groups of at most ``room`` tokens. One that is longer stands alone."""
    packed: list[list[Ids]] = [[]]
    used = 0
    for branch in branches:
        if packed[-1] and used + len(branch) > room:
            packed.append([])
            used = 0
        packed[-1].append(branch)
        used += len(branch)
    return packed


def _row(context: Ids, branches: list[Ids], members: Sequence[tuple[int, int, Window]]) -> Row:
    alone = len(branches) == 1
    row = Row(context + branches[0], ()) if alone else Row(context, tuple(branches))
    starts = [len(context)]
    for branch in branches:
        starts.append(starts[-1] + len(branch))
    for owner, slot, window in members:
        branch = _holder(branches, window.targets[:-1])
        if branch is None:
            continue
        if branch == 0:  # it goes on where the context ends
            row.reads.append(Read(len(context) - 1, window.targets, owner, slot))
            continue
        row.reads.append(Read(len(context) - 1, window.targets[:1], owner, slot))
        if len(window.targets) > 1:
            row.reads.append(Read(starts[branch], window.targets[1:], owner, slot + 1))
    return row


def _holder(branches: Sequence[Ids], wanted: Ids) -> int | None:
    """The first branch that begins with ``wanted``."""
    return next((at for at, branch in enumerate(branches) if branch[: len(wanted)] == wanted), None)
