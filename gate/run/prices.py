"""What models behind APIs charge, as the gate file says.

prices = prices_of(gate.file, pins)      # by the digest of each model
purse = Purse(gate.file.budget, prices)
"""

from __future__ import annotations

from collections.abc import Mapping

from finetune_gate.evaluators.errors import ConfigurationError, Problem

from ..gate_file import GateFile
from ..gate_file.settings import Price
from ..models.addresses import Servers
from ..pins import Endpoint, ModelPin, Pins


def prices_of(file: GateFile, pins: Pins) -> dict[str, Price]:
    """A price holds for every model of its name at its API, however the run came to it: by an address in the gate file,
    a registered version, or a claim about the base.

    Raises ConfigurationError where money is limited and a model behind an API has no price.
    """
    if file.budget is None:
        return {}
    servers = Servers(file.endpoints)
    given = {_place(servers, address): price for address, price in file.budget.prices.items()}
    prices: dict[str, Price] = {}
    problems: list[Problem] = []
    for name, pin in pins.by_name().items():
        if not isinstance(pin.files, Endpoint):
            continue
        price = given.get((pin.files.base_url, pin.files.model))
        if price is not None:
            prices[pin.files.digest] = price
        elif file.budget.money is not None:
            problems.append(_unpriced(name, _address(servers, file, pin, pin.files)))
    if problems:
        raise ConfigurationError(*problems)
    return prices


def priced_nothing(file: GateFile, pins: Pins) -> tuple[str, ...]:
    """Addresses with a price that no model of the run has: an earlier version's, or a slip of the pen."""
    if file.budget is None:
        return ()
    servers = Servers(file.endpoints)
    asked = {
        (pin.files.base_url, pin.files.model) for pin in pins.by_name().values() if isinstance(pin.files, Endpoint)
    }
    return tuple(address for address in file.budget.prices if _place(servers, address) not in asked)


def _place(servers: Servers, address: str) -> tuple[str, str]:
    endpoint = servers.endpoint(address)
    assert endpoint is not None, "a gate file with a price for no API is refused"
    return endpoint.base_url, endpoint.model


def _unpriced(name: str, address: str) -> Problem:
    return Problem(
        f"budget.prices: {name}",
        "money is limited, and this model behind an API has no price",
        f'prices: {{"{address}": {{input: 2.5, output: 10.0}}}}, per million tokens; 0 where it costs nothing',
        "give it a price, or limit calls or tokens instead of money",
    )


def _address(servers: Servers, file: GateFile, pin: ModelPin, endpoint: Endpoint) -> str:
    """How the gate file would name a model."""
    schemes: Mapping[str, object] = {"openai": None, **file.endpoints}
    for scheme in (pin.uri.partition(":")[0], *schemes):
        if scheme in schemes and servers.base_url(scheme) == endpoint.base_url:
            return f"{scheme}:/{endpoint.model}"
    return f"openai:/{endpoint.model}"
