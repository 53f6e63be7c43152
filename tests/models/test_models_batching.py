"""Windows, rows and batches, without any model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from finetune_gate.gate.models.batching import Row, Window, batch_end, common_prefix, fit, plan_rows, rolling_windows

ids = st.lists(st.integers(0, 3), max_size=5).map(tuple)


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 12))
def test_rolling_windows_score_every_token_once_with_as_much_context_as_fits(tokens, limit):
    windows = rolling_windows(tokens, 99, limit)
    assert [token for window in windows for token in window.targets] == tokens
    behind = [99, *tokens]
    done = 0
    for number, window in enumerate(windows):
        assert len(window.context) + len(window.targets) - 1 <= limit
        assert list(window.context) == behind[done + 1 - len(window.context) : done + 1]
        last = number == len(windows) - 1
        if last and number:
            assert len(window.context) + len(window.targets) - 1 == limit
        else:
            assert len(window.context) == 1
        done += len(window.targets)


def test_a_prompt_is_cut_from_the_left_and_a_continuation_never():
    assert fit((1, 2, 3, 4), (5, 6), 5) == (Window((1, 2, 3, 4), (5, 6)), 0)
    assert fit((1, 2, 3, 4), (5, 6), 3) == (Window((3, 4), (5, 6)), 2)
    assert fit((1, 2), (5, 6), 2) == (Window((2,), (5, 6)), 1)
    assert fit((1, 2), (5, 6, 7), 2) is None


@given(
    st.lists(st.tuples(ids.map(lambda c: (0, *c)), ids.map(lambda t: (1, *t))), min_size=1, max_size=12),
    st.integers(6, 20),
    st.booleans(),
)
def test_rows_read_every_target_once_after_exactly_its_own_context(pairs, limit, branching):
    windows = [(owner, 10, Window(context, targets)) for owner, (context, targets) in enumerate(pairs)]
    rows = plan_rows(windows, limit, branching)
    reads: dict[tuple[int, int], tuple[tuple[int, ...], int]] = {}
    for row in rows:
        assert branching or not row.branches
        assert not row.branches or len(row.branches) > 1
        for read in row.reads:
            for at, target in enumerate(read.targets):
                assert (read.owner, read.slot + at) not in reads
                reads[read.owner, read.slot + at] = (seen_at(row, read.position + at), target)
    wanted = {
        (owner, 10 + at): (context + targets[:at], targets[at])
        for owner, (context, targets) in enumerate(pairs)
        for at in range(len(targets))
    }
    assert reads == wanted


def seen_at(row: Row, position: int) -> tuple[int, ...]:
    """The tokens that a position of a row can see, its own included."""
    if position < len(row.trunk):
        return row.trunk[: position + 1]
    at = position - len(row.trunk)
    for branch in row.branches:
        if at < len(branch):
            return row.trunk + branch[: at + 1]
        at -= len(branch)
    raise AssertionError("a position outside the row")


def test_one_token_labels_of_a_prompt_cost_one_row_and_longer_ones_share_it():
    prompt = (7, 8, 9)
    rows = plan_rows([(at, 0, Window(prompt, (at,))) for at in range(6)], 100, branching=True)
    assert [row.tokens for row in rows] == [prompt]
    labels = [(1,), (2, 3), (2, 3, 4), (5, 6)]
    rows = plan_rows([(at, 0, Window(prompt, label)) for at, label in enumerate(labels)], 100, branching=True)
    assert [(row.trunk, row.branches) for row in rows] == [(prompt, ((2, 3), (5,)))]
    documents = [(at, 0, Window((0,), (at, 2, 3, 4))) for at in range(3)]
    assert all(not row.branches for row in plan_rows(documents, 100, branching=True))  # one shared token saves nothing


def test_batches_keep_to_the_budget_and_always_move_on():
    lengths = [50, 20, 20, 10, 10, 10, 1]
    ends, at = [], 0
    while at < len(lengths):
        at = batch_end(lengths, at, 40)
        ends.append(at)
    assert ends == [1, 3, 7]
    assert batch_end([500], 0, 1) == 1


def test_common_prefix_leaves_a_token_of_each():
    assert common_prefix([(1, 2, 3), (1, 2, 4), (1, 2)]) == 1
    assert common_prefix([(1, 2, 3), (1, 2, 3)]) == 2
    assert common_prefix([(1,), (2,)]) == 0
