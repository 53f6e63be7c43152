"""What a run may still spend: calls, tokens and money of APIs, and the time of asking judges.

    purse = Purse(gate.file.budget, prices={endpoint.digest: Price(input=2.5, output=10.0)})
    account = purse.account(endpoint.digest)
    match account.reserve(Spent(calls=1, read=900, written=64)):
        case Reservation() as reserved: account.settle(reserved, Spent(calls=1, read=212, written=5))
        case Refusal(reason): ...      # "the budget of 2,000 calls is spent"
        case None: ...                 # later: what others have in flight may leave room

What is reserved for a call is the most that it can come to; it counts until the call is settled by what it really came
to. So the limits hold however many calls are under way, as long as no call comes to more than was reserved for it.
The first refusal stands: what comes later is refused too, even where it would be small enough to fit. Else the answers
at the end of a budget would be those to short questions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from .gate_file.settings import BudgetSettings, Price
from .limits import Limit, given_limits, of_limit, with_unit

_NEARLY = 0.9
"""The share of a limit from which on it is called spent; before that, the next call is what is too large."""

_QUARTERS = 4


@dataclass(frozen=True, slots=True)
class Spent:
    """Calls to APIs, and tokens that they read and wrote."""

    calls: int = 0
    read: int = 0
    written: int = 0

    @property
    def tokens(self) -> int:
        return self.read + self.written

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.calls + other.calls, self.read + other.read, self.written + other.written)

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.calls - other.calls, self.read - other.read, self.written - other.written)

    def cost(self, price: Price) -> float:
        return (self.read * price.input + self.written * price.output) / 1e6


NOTHING = Spent()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no further call is begun."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Reservation:
    """The most that one call under way may come to."""

    most: Spent


@dataclass(frozen=True, slots=True)
class Balance:
    """What a run came to. ``amounts`` are by the names of limits; without money where a model that was asked has no
    price. ``costs``, by the digests of models, holds those that have one."""

    amounts: Mapping[Limit, float]
    costs: Mapping[str, float]


class Purse:
    """One for each run; safe in several threads. ``prices`` are by the digests of models behind APIs. Without
    ``limits`` nothing is ever refused, and everything is counted.

    Raises ValueError where money is limited and an account is opened for a model without a price.
    """

    def __init__(
        self,
        limits: BudgetSettings | None = None,
        prices: Mapping[str, Price] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self._given = given_limits(limits) if limits is not None else {}
        self._prices = dict(prices or {})
        self._clock = clock
        self._lock = Lock()
        self._spent: dict[str, Spent] = {}
        self._in_flight: dict[str, Spent] = {}
        self._open: set[Reservation] = set()
        self._refusal: Refusal | None = None
        self._judged = 0.0
        self._judging_since: float | None = None
        self._quarters_told = 0

    def account(self, model: str) -> Account:
        if "money" in self._given and model not in self._prices:
            raise ValueError("money is limited, and a model behind an API has no price")
        return Account(self, model)

    @contextmanager
    def judging(self) -> Generator[None]:
        """The time within counts as asking judges, and there alone its limit holds."""
        with self._lock:
            self._judging_since = self._clock()
        try:
            yield
        finally:
            with self._lock:
                self._judged, self._judging_since = self._seconds(), None

    @property
    def timed(self) -> bool:
        """Whether the time is limited of what is asked now."""
        return self._judging_since is not None and "seconds" in self._given

    def late(self) -> Refusal | None:
        """Whether the time of asking judges is over."""
        with self._lock:
            return self._late()

    def refused(self) -> Refusal | None:
        """Whether nothing more is begun at all."""
        with self._lock:
            return self._refusal or self._late()

    def reserve(self, model: str, most: Spent) -> Reservation | Refusal | None:
        """Room for one call; None where there is none before calls under way are settled."""
        with self._lock:
            if (refusal := self._refusal or self._late()) is not None:
                return refusal
            begun = {name: Spent(calls=one.calls) for name, one in self._in_flight.items()}
            if (limit := self._exceeded(begun, model, most)) is not None:  # whatever is settled
                self._refusal = Refusal(self._reason(limit))
                return self._refusal
            if self._exceeded(self._in_flight, model, most) is not None:
                return None
            reserved = Reservation(most)
            self._open.add(reserved)
            self._in_flight[model] = self._in_flight.get(model, NOTHING) + most
            return reserved

    def settle(self, model: str, reserved: Reservation, spent: Spent) -> None:
        """What the call came to; NOTHING where it was not made. Settling again changes nothing."""
        with self._lock:
            if reserved in self._open:
                self._open.remove(reserved)
                self._in_flight[model] -= reserved.most
                self._spent[model] = self._spent.get(model, NOTHING) + spent

    def refusals(self) -> tuple[str, ...]:
        """Every reason for which something may not have been asked."""
        with self._lock:
            reasons = [] if self._refusal is None else [self._refusal.reason]
            return (*reasons, self._reason("seconds")) if "seconds" in self._given else tuple(reasons)

    def balance(self) -> Balance:
        with self._lock:
            costs = self._costs()
            amounts = self._amounts()
            if not self._prices or any(spent.calls for model, spent in self._spent.items() if model not in costs):
                del amounts["money"]
            return Balance(amounts, costs)

    def news(self) -> str | None:
        """A line for people, once for each quarter of the tightest limit: ``budget: 2.51 of 5.00 USD spent``."""
        with self._lock:
            if self.limits is None or not self._given:
                return None
            amounts = self._amounts()
            limit = max(self._given, key=lambda name: amounts[name] / self._given[name])
            quarters = min(_QUARTERS, int(_QUARTERS * amounts[limit] / self._given[limit]))
            if quarters <= self._quarters_told:
                return None
            self._quarters_told = quarters
            return f"budget: {of_limit(limit, amounts[limit], self._given[limit], self.limits.currency)} spent"

    def _late(self) -> Refusal | None:
        if self._judging_since is None or self._seconds() < self._given.get("seconds", math.inf):
            return None
        return Refusal(self._reason("seconds"))

    def _seconds(self) -> float:
        return self._judged + (0.0 if self._judging_since is None else self._clock() - self._judging_since)

    def _exceeded(self, in_flight: Mapping[str, Spent], model: str, most: Spent) -> Limit | None:
        """The limit that one more call could break."""
        total = sum((*self._spent.values(), *in_flight.values()), most)
        if total.calls > self._given.get("calls", math.inf):
            return "calls"
        if total.tokens > self._given.get("tokens", math.inf):
            return "tokens"
        if "money" in self._given:
            cost = sum(self._costs().values()) + sum(one.cost(self._prices[name]) for name, one in in_flight.items())
            if cost + most.cost(self._prices[model]) > self._given["money"]:
                return "money"
        return None

    def _costs(self) -> dict[str, float]:
        """From whole tokens each time, so that no rounding adds up."""
        return {model: self._spent.get(model, NOTHING).cost(price) for model, price in self._prices.items()}

    def _amounts(self) -> dict[Limit, float]:
        spent = sum(self._spent.values(), NOTHING)
        money = sum(self._costs().values())
        return {"calls": spent.calls, "tokens": spent.tokens, "money": money, "seconds": self._seconds()}

    def _reason(self, limit: Limit) -> str:
        assert self.limits is not None, "nothing is refused without limits"
        enough = limit in ("calls", "seconds") or self._amounts()[limit] >= _NEARLY * self._given[limit]
        given = with_unit(limit, self._given[limit], self.limits.currency)
        return f"the budget of {given} {'is spent' if enough else 'leaves too little for the next call'}"


@dataclass(frozen=True, slots=True)
class Account:
    """The purse as one model sees it, named by its digest."""

    purse: Purse
    model: str

    def reserve(self, most: Spent) -> Reservation | Refusal | None:
        return self.purse.reserve(self.model, most)

    def settle(self, reserved: Reservation, spent: Spent) -> None:
        self.purse.settle(self.model, reserved, spent)

    def late(self) -> Refusal | None:
        return self.purse.late()

    def refused(self) -> Refusal | None:
        return self.purse.refused()
