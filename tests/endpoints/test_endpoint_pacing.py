"""The level of concurrency and the waiting, without a server or a clock; then both against servers with limits."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from endpoint_asking import Open, prompts
from fault_server import FaultServer
from hypothesis import given
from hypothesis import strategies as st

from finetune_gate.evaluators.asking import Answer, Generation
from finetune_gate.gate.endpoints.pacing import Backoff, Pace, retry_after_seconds

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def round_trip(pace: Pace, limit: int) -> tuple[int, int]:
    """As many calls as are allowed, all at once, at a server that takes ``limit``: how many it took and refused."""
    tickets = [pace.ticket(under_way + 1) for under_way in range(pace.allowed)]
    for ticket in tickets[limit:]:
        pace.refused(ticket)
    for ticket in tickets[:limit]:
        pace.answered(ticket, wanted=True)
    return len(tickets[:limit]), len(tickets[limit:])


def test_slow_start_doubles_each_round_trip_up_to_the_most():
    pace = Pace(100)
    levels = [pace.allowed]
    for _ in range(6):
        round_trip(pace, 1000)
        levels.append(pace.allowed)
    assert levels == [4, 8, 16, 32, 64, 100, 100]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 8, 16, 20, 50, 100])
def test_a_hidden_limit_is_found(limit):
    pace = Pace(256)
    for _ in range(40):
        round_trip(pace, limit)
    counts = [round_trip(pace, limit) for _ in range(200)]
    taken, refused = sum(count[0] for count in counts), sum(count[1] for count in counts)
    assert taken / 200 >= 0.7 * limit
    assert refused / (taken + refused) <= 0.35 / limit + 0.02


def test_one_round_trip_halves_once_however_much_was_refused():
    pace = Pace(64)
    for _ in range(4):
        round_trip(pace, 1000)
    assert pace.allowed == 64
    tickets = [pace.ticket(at + 1) for at in range(64)]
    for ticket in tickets[40:]:
        pace.refused(ticket)
    assert pace.allowed == 20  # half of where it was refused first
    for ticket in tickets[:40]:
        pace.answered(ticket, wanted=True)
    assert pace.allowed == 20  # sent before the cut: no evidence for more


def test_a_level_that_nobody_wants_more_of_does_not_grow():
    pace = Pace(64)
    for _ in range(100):
        pace.answered(pace.ticket(4), wanted=False)
    assert pace.allowed == 4


def test_refusing_a_single_call_pauses_everything_longer_each_time():
    pace = Pace(64)
    pauses = [pace.refused(pace.ticket(1)) for _ in range(10)]
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    pace.answered(pace.ticket(1), wanted=False)
    assert pace.refused(pace.ticket(1)) == 0.25


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 300)), max_size=300), st.integers(-3, 300))
def test_the_level_stays_within_its_bounds(events, most):
    pace = Pace(most)
    for taken, under_way in events:
        ticket = pace.ticket(under_way)
        if taken:
            before = pace.allowed
            pace.answered(ticket, wanted=True)
            assert before <= pace.allowed <= before + 1
        else:
            assert 0 <= pace.refused(ticket) <= 30
            assert pace.refused(ticket) == 0  # a second refusal of the same round trip
        assert 1 <= pace.allowed <= max(1, most)


@pytest.mark.parametrize(
    ("milliseconds", "value", "seconds"),
    [
        (None, None, None),
        (None, "2", 2.0),
        (None, "0.25", 0.25),
        (None, "-3", 0.0),
        (None, "Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        (None, "Sat, 21 Nov 2026 13:00:30 +0100", 30.0),
        (None, "Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        (None, "soon", None),
        (None, "nan", None),
        (None, "inf", float("inf")),
        (None, "9" * 400, None),
        (None, "Sat, 99 Nov 2026 12:00:30 GMT", None),
        ("1500", "9", 1.5),
        ("x", "9", 9.0),
    ],
)
def test_retry_after(milliseconds, value, seconds):
    assert retry_after_seconds(milliseconds, value, NOW) == seconds


@given(st.one_of(st.none(), st.text()), st.one_of(st.none(), st.text()))
def test_retry_after_is_never_negative_and_never_raises(milliseconds, value):
    found = retry_after_seconds(milliseconds, value, NOW)
    assert found is None or found >= 0


def test_waits_double_up_to_the_longest_and_half_of_them_is_chance():
    backoff = Backoff(first_seconds=0.25, longest_seconds=8)
    assert [backoff.seconds(failures, 0.0) for failures in range(1, 9)] == [0.25, 0.5, 1, 2, 4, 8, 8, 8]
    assert backoff.seconds(3, 0.999) == pytest.approx(0.5, rel=0.01)
    assert backoff.seconds(10_000, 0.0) == 8


def timed(model, count: int) -> float:
    answers: dict[int, Answer] = {}
    begun = time.monotonic()
    model.generate(prompts(count), answers.__setitem__)
    seconds = time.monotonic() - begun
    assert [answers[at] for at in range(count)] == [Generation("fine", "stop", 3)] * count
    return seconds


@pytest.mark.parametrize("retry_after", [None, "0.1"])
def test_a_server_with_a_hidden_limit_is_used_well_and_seldom_asked_in_vain(
    server: FaultServer, opened: Open, retry_after: str | None
):
    server.latency, server.limit, server.retry_after = 0.1, 10, retry_after
    model = opened(max_in_flight=200, call_seconds=20)
    timed(model, 50)  # finds the limit
    before, refused = server.calls, server.refused
    seconds = timed(model, 200)
    assert (server.refused - refused) / (server.calls - before) <= 0.10
    assert seconds <= 200 / 10 * 0.1 / 0.35  # of the best possible, on a machine that does other things too
    assert model.usage().rate_limited == server.refused


def test_in_flight_grows_to_the_most_allowed_and_no_further(server: FaultServer, opened: Open):
    server.latency = 0.03
    timed(opened(max_in_flight=12), 200)
    assert 8 < server.peak <= 12


def test_what_was_learnt_of_a_server_serves_the_next_model(server: FaultServer, opened: Open):
    server.latency, server.limit = 0.02, 6
    timed(opened(max_in_flight=64, call_seconds=20), 150)
    before, refused = server.calls, server.refused
    timed(opened(max_in_flight=64, call_seconds=20, model="another"), 100)
    assert (server.refused - refused) / (server.calls - before) <= 0.15


def test_answers_that_are_not_kept_yet_hold_their_place(server: FaultServer, opened: Open):
    """However slowly answers are kept, no more are paid for than may be in flight: that is what a kill can lose."""
    kept = 0
    unkept: list[int] = []

    def keep(index: int, answer: Answer) -> None:
        nonlocal kept
        unkept.append(server.calls - kept)
        time.sleep(0.02)
        kept += 1

    opened(max_in_flight=4).generate(prompts(60), keep)
    assert kept == server.calls == 60
    assert max(unkept) <= 4
