"""The models of a run, opened together so that what they share is in memory once."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ..pins import ModelFiles, Pins, Role
from .declared import read_json, shares_base
from .identity import effective_digest
from .loading import pick_device, pick_dtype
from .local import LocalModel, Weights
from .protocol import Model


@contextmanager
def open_models(
    pins: Pins, *, device: str = "auto", dtype: str = "auto", batch_tokens: int | Literal["auto"] = "auto"
) -> Generator[Mapping[Role, Model]]:
    """One model for each role of a run::

        with open_models(pins) as models:
            models["candidate"].score(requests, deliver)

    Roles with the same effective digest are one object. Adapters on the same base, and that base itself, share one set
    of weights: the base is the adapters switched off. Weights are loaded at the first question and freed at the end;
    ``release()`` frees them earlier, once no other role needs them. Nothing is downloaded.

    ``device``: auto (cuda, else mps, else cpu), or torch's name for one. ``dtype``: auto (the checkpoint's on cuda,
    float32 elsewhere), float32, bfloat16, float16; part of every answer's address, which the device is not.
    ``batch_tokens``: tokens in one batch of scoring, and four times as many in one of generating; halved where memory
    runs out. A batch moves answers by float32's rounding only; in half precision by some hundredths of a
    log-probability, and now and then a greedy token. Products of float32 are computed in float32, never in TF32,
    whatever the process was set to.

    Raises ModelFilesError where an adapter's base is not known, ModelError for an unknown dtype; everything about the
    files themselves is raised at first use.
    """
    place = pick_device(device)
    weights: dict[str, Weights] = {}
    by_digest: dict[str, LocalModel] = {}
    models: dict[Role, Model] = {}
    for pin in pins.roles():
        base = (pin.adapts or (pins.base.files if pin.role != "base" else None)) if pin.files.adapter else None
        digest = effective_digest(pin.files, base)
        if digest not in by_digest:
            key, folder = _weights_of(pin.files, base, digest)
            if key not in weights:
                config = read_json(folder / "config.json")
                weights[key] = Weights(folder, config, pick_dtype(dtype, place, config), place)
            by_digest[digest] = LocalModel(pin.files, base, weights[key], batch_tokens)
        models[pin.role] = by_digest[digest]
    try:
        yield models
    finally:
        for shared in weights.values():
            shared.close()


def _weights_of(files: ModelFiles, base: ModelFiles | None, digest: str) -> tuple[str, Path]:
    """Which set of weights a model uses, and where they lie. An adapter that changes its base gets a set of its own."""
    full = base or files
    assert full.weights is not None, "inspected files have weights or an adapter"
    if files.adapter and not shares_base(read_json(files.adapter / "adapter_config.json")):
        return digest, full.weights
    return full.digest, full.weights
