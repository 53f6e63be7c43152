"""Runs of tiny models that were kept, and keys to sign them with."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from workshop import PASSES, Workshop

from finetune_gate.gate.attesting.keys import KEY_VARIABLE
from finetune_gate.gate.run import GateRequest, GateResult, walk

RULES = (
    PASSES,
    "{metric: classification.accuracy, min: 0.2}",
    "{metric: classification.accuracy, min: 0.5, slice: {category: a}, severity: warn}",
    "{metric: perplexity.bits_per_byte, min_change: 0.0, margin: 9, against: base}",
)


@dataclass(frozen=True, slots=True)
class Signer:
    """The paths of a key pair, made by openssl."""

    private: Path
    public: Path


def make_signer(folder: Path, *options: str) -> Signer:
    """``make_signer(folder, "-algorithm", "ed25519")``."""
    folder.mkdir(parents=True, exist_ok=True)
    signer = Signer(folder / "signing.pem", folder / "signer.pem")
    subprocess.run(["openssl", "genpkey", *options, "-out", signer.private], check=True, capture_output=True)
    subprocess.run(
        ["openssl", "pkey", "-in", signer.private, "-pubout", "-out", signer.public], check=True, capture_output=True
    )
    return signer


def gated(workshop: Workshop, gate: Path, signer: Signer | None = None, **request: object) -> GateResult:
    """Version 2, as a run would; signed where there is a signer."""
    before = os.environ.pop(KEY_VARIABLE, None)
    if signer is not None:
        os.environ[KEY_VARIABLE] = str(signer.private)
    try:
        settings: dict[str, object] = {"out": workshop.folder / "out", "home": workshop.folder / "home", **request}
        return walk(GateRequest(gate, "2", tracking_uri=workshop.uri, **settings))  # pyright: ignore[reportArgumentType] - GateRequest's own fields
    finally:
        os.environ.pop(KEY_VARIABLE, None)
        if before is not None:
            os.environ[KEY_VARIABLE] = before


@dataclass(frozen=True, slots=True)
class Made:
    """A run, its gate file and the workshop it was made in."""

    workshop: Workshop
    gate: Path
    result: GateResult

    @property
    def folder(self) -> Path:
        return self.result.folder
