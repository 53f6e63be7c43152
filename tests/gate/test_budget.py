"""The purse: limits that hold whatever is under way, refusals that stand, and what is said of it all."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from finetune_gate.gate.budget import NOTHING, Account, Purse, Refusal, Reservation, Spent
from finetune_gate.gate.gate_file.settings import BudgetSettings, Price
from finetune_gate.gate.limits import amount_text, spending_text

PRICES = {"cheap": Price(input=0.1, output=0.4), "dear": Price(input=2.5, output=10.0)}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def reserved(found: Reservation | Refusal | None) -> Reservation:
    assert isinstance(found, Reservation)
    return found


def test_calls_are_counted_from_when_they_are_begun() -> None:
    account = Purse(BudgetSettings(calls=2)).account("m")
    first, _ = (reserved(account.reserve(Spent(1))) for _ in range(2))
    assert account.reserve(Spent(1)) == Refusal("the budget of 2 calls is spent"), "no settling makes room for a call"
    account.settle(first, Spent(1))
    assert account.refused() == Refusal("the budget of 2 calls is spent")


def test_tokens_of_calls_under_way_are_waited_for() -> None:
    account = Purse(BudgetSettings(tokens=100)).account("m")
    first = reserved(account.reserve(Spent(1, 40, 20)))
    assert account.reserve(Spent(1, 40, 20)) is None, "later: it fits where the first comes to less"
    assert account.refused() is None
    account.settle(first, Spent(1, 10, 5))
    second = reserved(account.reserve(Spent(1, 40, 20)))
    account.settle(second, Spent(1, 40, 20))
    assert account.reserve(Spent(1, 20, 6)) == Refusal("the budget of 100 tokens leaves too little for the next call")
    assert isinstance(account.reserve(Spent(1, 1, 1)), Refusal), "small ones do not slip in behind large ones"


def test_what_is_nearly_spent_is_called_spent() -> None:
    account = Purse(BudgetSettings(tokens=3_000_000)).account("m")
    account.settle(reserved(account.reserve(Spent(1, 2_999_000, 0))), Spent(1, 2_999_000, 0))
    assert account.reserve(Spent(1, 1000, 1)) == Refusal("the budget of 3,000,000 tokens is spent")


def test_settling_frees_once() -> None:
    purse = Purse(BudgetSettings(tokens=10))
    account = purse.account("m")
    one = reserved(account.reserve(Spent(1, 10, 0)))
    account.settle(one, NOTHING)
    account.settle(one, Spent(1, 10, 0))
    assert purse.balance().amounts["tokens"] == 0
    reserved(account.reserve(Spent(1, 10, 0)))


def test_money_is_counted_by_the_price_of_each_model() -> None:
    purse = Purse(BudgetSettings(money=1.0, currency="€"), PRICES)
    cheap, dear = purse.account("cheap"), purse.account("dear")
    dear.settle(reserved(dear.reserve(Spent(1, 200_000, 40_000))), Spent(1, 200_000, 40_000))
    cheap.settle(reserved(cheap.reserve(Spent(1, 10_000, 10_000))), Spent(1, 10_000, 10_000))
    balance = purse.balance()
    assert balance.costs == pytest.approx({"dear": 0.9, "cheap": 0.005})
    assert balance.amounts["money"] == pytest.approx(0.905)
    assert dear.reserve(Spent(1, 0, 10_000)) == Refusal("the budget of 1.00 € is spent")


def test_money_needs_prices_and_is_not_known_without_them() -> None:
    with pytest.raises(ValueError, match="no price"):
        Purse(BudgetSettings(money=1.0), PRICES).account("unknown")
    purse = Purse(BudgetSettings(calls=9), PRICES)
    assert purse.balance().amounts["money"] == 0
    account = purse.account("unknown")
    account.settle(reserved(account.reserve(Spent(1))), Spent(1, 5, 5))
    assert "money" not in purse.balance().amounts
    assert "money" not in Purse(BudgetSettings(calls=9)).balance().amounts


def test_time_is_limited_while_judges_are_asked_and_adds_up() -> None:
    clock = Clock()
    purse = Purse(BudgetSettings(seconds=60), clock=clock)
    account = purse.account("m")
    clock.now += 500
    assert (purse.timed, account.late()) == (False, None)
    with purse.judging():
        clock.now += 40
        assert (purse.timed, account.late()) == (True, None)
    clock.now += 500
    assert isinstance(account.reserve(Spent(1)), Reservation)
    with purse.judging():
        clock.now += 20
        assert account.reserve(Spent(1)) == Refusal("the budget of 60 seconds of asking judges is spent")
    assert purse.balance().amounts["seconds"] == 60
    assert account.refused() is None, "candidates are not judges"


def test_without_limits_everything_is_counted_and_nothing_refused() -> None:
    purse = Purse()
    account = purse.account("m")
    for _ in range(5):
        account.settle(reserved(account.reserve(Spent(1, 10**9, 10**9))), Spent(1, 7, 3))
    assert purse.balance().amounts == {"calls": 5, "tokens": 50, "seconds": 0}
    assert (purse.news(), purse.refusals()) == (None, ())


def test_each_quarter_is_said_once() -> None:
    purse = Purse(BudgetSettings(calls=8, money=10.0), PRICES)
    account = purse.account("dear")
    said: list[str] = []
    for _ in range(8):
        account.settle(reserved(account.reserve(Spent(1))), Spent(1, 1000, 0))
        said += [line for line in (purse.news(), purse.news()) if line]
    assert said == [f"budget: {calls} of 8 calls spent" for calls in (2, 4, 6, 8)]


def test_amounts_are_written_as_people_read_them() -> None:
    amounts = {"calls": 1204, "tokens": 812_001, "money": 1.234, "seconds": 41.6}
    assert spending_text(amounts, {"calls": 2000, "money": 5.0}, "USD") == (
        "1,204 of 2,000 calls, 812,001 tokens, 1.23 of 5.00 USD"
    )
    assert spending_text(amounts, {"seconds": 3600}, "USD").endswith("1.23 USD, 42 of 3,600 seconds of asking judges")
    assert [amount_text("money", one) for one in (0, 0.0042, 0.01, 1234.5)] == ["0.00", "0.0042", "0.01", "1,234.50"]


amounts = st.builds(Spent, st.just(1), st.integers(0, 400), st.integers(0, 100))
limits = st.fixed_dictionaries(
    {},
    optional={
        "calls": st.integers(1, 12),
        "tokens": st.integers(1, 2000),
        "money": st.floats(1e-6, 2e-3),
    },
).filter(bool)


@settings(deadline=None)
@given(
    given_limits=limits,
    steps=st.lists(st.tuples(st.sampled_from(["cheap", "dear"]), amounts, st.floats(0, 1), st.booleans()), max_size=60),
)
def test_no_limit_is_ever_passed(given_limits: dict[str, float], steps: list[tuple[str, Spent, float, bool]]) -> None:
    """Calls begun and settled in any order, each coming to no more than was reserved for it; and where nothing is under
    way, nobody is told to wait."""
    purse = Purse(BudgetSettings.model_validate(given_limits), PRICES)
    accounts = {name: purse.account(name) for name in PRICES}
    under_way: list[tuple[Account, Reservation]] = []
    begun = 0
    refused = False

    def settle_one(share: float) -> None:
        account, one = under_way.pop(int(share * (len(under_way) - 1)))
        account.settle(one, Spent(1, int(one.most.read * share), int(one.most.written * share)))

    for name, most, share, settles in steps:
        found = accounts[name].reserve(most)
        if isinstance(found, Reservation):
            assert not refused, "a refusal stands"
            under_way.append((accounts[name], found))
            begun += 1
        elif found is None:
            assert under_way
        refused = refused or isinstance(found, Refusal)
        if settles and under_way:
            settle_one(share)
    while under_way:
        settle_one(1.0)
    spent = purse.balance().amounts
    assert spent["calls"] == begun
    for limit, most in given_limits.items():
        assert spent[limit] <= most + 1e-12


def test_threads_share_it() -> None:
    purse = Purse(BudgetSettings(calls=500, tokens=20_000))
    account = purse.account("m")

    def worker(seed: int) -> int:
        draw = random.Random(seed)
        done = 0
        while not isinstance(found := account.reserve(Spent(1, 30, 20)), Refusal):
            if found is not None:
                done += 1
                account.settle(found, Spent(1, draw.randrange(31), draw.randrange(21)))
        return done

    with ThreadPoolExecutor(8) as pool:
        done = sum(pool.map(worker, range(8)))
    spent = purse.balance().amounts
    assert spent["calls"] == done <= 500
    assert spent["tokens"] <= 20_000
    assert done == 500 or spent["tokens"] > 20_000 - 50, "it is used to the last call that is sure to fit"


@pytest.mark.parametrize(
    "make",
    [
        lambda: BudgetSettings(),
        lambda: BudgetSettings(calls=0),
        lambda: BudgetSettings(money=float("nan")),
        lambda: BudgetSettings(money=float("inf")),
        lambda: BudgetSettings(seconds=-1.0),
        lambda: BudgetSettings(prices={"openai:/x": Price(input=-1.0, output=0.0)}),
        lambda: BudgetSettings(prices={"openai:/x": Price(input=float("inf"), output=0.0)}),
        lambda: BudgetSettings(calls=1, currency="<b>"),
    ],
)
def test_limits_are_finite_and_positive(make: Callable[[], BudgetSettings]) -> None:
    with pytest.raises(ValidationError):
        make()
