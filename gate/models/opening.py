"""The models of a run, opened together so that what they share is in memory once."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from ..pins import EncoderFiles, Endpoint, ModelFiles, ModelPin, Pins, PythonModel, Sandbox
from .addresses import EndpointEntry, Servers
from .declared import read_json, shares_base
from .encoding_models import EncoderModel
from .identity import effective_digest
from .loading import pick_device, pick_dtype
from .local import LocalModel
from .protocol import Model
from .weights import Weights

if TYPE_CHECKING:
    from ..budget import Purse
    from ..endpoints import EndpointLimits


class LimitedEndpoint(EndpointEntry, Protocol):
    """One entry of the gate file's ``endpoints``: where requests go, and how many and how long."""

    @property
    def max_in_flight(self) -> int: ...
    @property
    def call_seconds(self) -> float: ...
    @property
    def response_bytes(self) -> int: ...


@contextmanager
def open_models(
    pins: Pins,
    *,
    device: str = "auto",
    dtype: str = "auto",
    batch_tokens: int | Literal["auto"] = "auto",
    endpoints: Mapping[str, LimitedEndpoint] | None = None,
    purse: Purse | None = None,
) -> Generator[Mapping[str, Model]]:
    """Every model of a run, by role, judges by their address::

        with open_models(pins) as models:
            models["candidate"].score(requests, deliver)
            models["openai:/gpt-4o"].generate(requests, deliver)

    Models with the same effective digest are one object. Adapters on the same base, and that base itself, share one set
    of weights: the base is the adapters switched off. Weights are loaded, processes started and servers asked at the
    first question; all is freed at the end. ``release()`` frees a model's own earlier, once no other needs it. Nothing
    is downloaded.

    ``device``: auto (cuda, else mps, else cpu), or torch's name for one. ``dtype``: auto (the checkpoint's on cuda,
    float32 elsewhere), float32, bfloat16, float16; part of every answer's address, which the device is not.
    ``batch_tokens``: tokens in one batch of scoring, and four times as many in one of generating; halved where memory
    runs out. A batch moves answers by float32's rounding only; in half precision by some hundredths of a
    log-probability, and now and then a greedy token. Products of float32 are computed in float32, never in TF32,
    whatever the process was set to. ``endpoints``: the gate file's; their limits hold for every model at their address,
    the tighter ones where two entries share it. ``purse``: what models behind APIs may spend, no limit by default.

    Raises ModelFilesError where an adapter's base is not known, ModelError for an unknown dtype, ConfigurationError for
    an API that cannot be asked; everything about the files themselves is raised at first use.
    """
    place = pick_device(device)
    limits = _limits(endpoints or {})
    weights: dict[str, Weights] = {}
    by_digest: dict[str, Model] = {}
    models: dict[str, Model] = {}
    with ExitStack() as opened:
        for name, pin in pins.by_name().items():
            source = pin.files
            base = _under(pin, pins)
            digest = effective_digest(source, base) if isinstance(source, ModelFiles) else source.digest
            if isinstance(source, Sandbox):  # what one keeps programs in is not another's to choose
                digest = f"{source.backend} {digest}"
            if digest not in by_digest:
                if isinstance(source, ModelFiles):
                    key, folder = _weights_of(source, base, digest)
                    if key not in weights:
                        config = read_json(folder / "config.json")
                        weights[key] = Weights(folder, config, pick_dtype(dtype, place, config), place)
                        opened.callback(weights[key].close)
                    by_digest[digest] = LocalModel(source, base, weights[key], batch_tokens)
                elif isinstance(source, EncoderFiles):
                    by_digest[digest] = EncoderModel(source, device=place, dtype=dtype, batch_tokens=batch_tokens)
                    opened.callback(by_digest[digest].release)
                else:
                    by_digest[digest] = _elsewhere(source, limits, purse)
                    opened.callback(by_digest[digest].release)
            models[name] = by_digest[digest]
        yield models


def _elsewhere(
    source: Endpoint | PythonModel | Sandbox, limits: Mapping[str, EndpointLimits], purse: Purse | None
) -> Model:
    """A model that answers outside this process."""
    if isinstance(source, Endpoint):
        from ..endpoints import EndpointModel

        account = None if purse is None else purse.account(source.digest)
        return EndpointModel(source, limits.get(source.base_url), account=account)
    if isinstance(source, Sandbox):
        from ..sandbox.model import SandboxModel

        return SandboxModel(source, purse=purse)
    from ..python_models import PythonPredictions

    return PythonPredictions(source)


def _limits(endpoints: Mapping[str, LimitedEndpoint]) -> dict[str, EndpointLimits]:
    """By the address that requests go to: pins do not hold limits, which change no answer."""
    from ..endpoints import EndpointLimits

    servers = Servers(endpoints)
    found: dict[str, EndpointLimits] = {}
    for name, entry in endpoints.items():
        url = servers.base_url(name)
        tightest = found.get(url, EndpointLimits(entry.max_in_flight, entry.call_seconds, entry.response_bytes))
        found[url] = EndpointLimits(
            min(tightest.max_in_flight, entry.max_in_flight),
            min(tightest.call_seconds, entry.call_seconds),
            min(tightest.response_bytes, entry.response_bytes),
        )
    return found


def _under(pin: ModelPin, pins: Pins) -> ModelFiles | None:
    """What an adapter sits on, None for what is none, or where it is not known."""
    if pin.files.adapter is None:
        return None
    base = pin.adapts or (pins.base.files if pin.role in ("candidate", "champion") else None)
    return base if isinstance(base, ModelFiles) else None


def _weights_of(files: ModelFiles, base: ModelFiles | None, digest: str) -> tuple[str, Path]:
    """Which set of weights a model uses, and where they lie. An adapter that changes its base gets a set of its own."""
    full = base or files
    assert full.weights is not None, "inspected files have weights or an adapter"
    if files.adapter and not shares_base(read_json(files.adapter / "adapter_config.json")):
        return digest, full.weights
    return full.digest, full.weights
