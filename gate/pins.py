"""What a run is about, pinned once: later steps use the pins and never ask the registry again what is latest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Role = Literal["candidate", "base", "champion"]
"""The part a model plays in one run. ``base`` and ``champion`` are the baselines."""

Layout = Literal["mlflow-transformers", "huggingface", "peft"]
"""How model files lie on disk: MLflow's transformers flavor, a plain Hugging Face folder, a bare PEFT adapter."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Inspected, safe-to-load files of one model version.

    ``digest`` names the model itself: weights, configuration, tokenizer, chat template, and for an adapter also the
    adapter; the same model stored in another layout has the same digest. ``files_digest`` covers every file found,
    and changes with any byte. For an adapter, ``weights`` is None: they come from the base.
    ``base_claim`` is the base that the files themselves name; untrusted, and only ever compared with other evidence.
    """

    root: Path
    layout: Layout
    weights: Path | None
    tokenizer: Path | None
    adapter: Path | None
    base_claim: str | None
    digest: str
    files_digest: str
    total_bytes: int
    tokenizer_digest: str | None = None
    """Names the tokenizer and its chat template; None where there is none (an adapter may use its base's). Figures per
    token are comparable only between models with the same one."""


@dataclass(frozen=True, slots=True)
class ModelPin:
    """One model of a run, pinned.

    ``name``/``version``/``run_id`` are None for a base that is no registry version. ``uri`` is what people read.
    ``origin`` says how it was found, such as ``"alias @champion"`` or ``"run tag base_model"``.
    """

    role: Role
    uri: str
    name: str | None
    version: str | None
    run_id: str | None
    origin: str
    files: ModelFiles
    adapts: ModelFiles | None = None
    """For an adapter: the model it sits on. None means the base of the run."""

    @property
    def label(self) -> str:
        return f"{self.name} v{self.version}" if self.name and self.version else self.uri


@dataclass(frozen=True, slots=True)
class Pins:
    """The models of one run. ``champion`` is None for a first model; ``champion_note`` then says so."""

    candidate: ModelPin
    base: ModelPin
    champion: ModelPin | None
    champion_note: str = ""

    def roles(self) -> tuple[ModelPin, ...]:
        return (self.candidate, self.base) + ((self.champion,) if self.champion else ())


def identical_baselines(pins: Pins) -> tuple[Role, ...]:
    """The baselines that are the very model under test: nothing can be learnt from comparing with them.

    Two full models are the same if their digests are, two adapters if also the models they sit on are. A registry
    version is the same as itself.
    """
    candidate = pins.candidate

    def effective(pin: ModelPin) -> tuple[str, str]:
        return pin.files.digest, (pin.adapts or pins.base.files).digest if pin.files.adapter else ""

    return tuple(
        pin.role
        for pin in pins.roles()[1:]
        if effective(pin) == effective(candidate)
        or (pin.version is not None and (pin.name, pin.version) == (candidate.name, candidate.version))
    )
