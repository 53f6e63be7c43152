"""What a run is about, pinned once: later steps use the pins and never ask the registry again what is latest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from finetune_gate.evaluators.asking import Message

Role = Literal["candidate", "base", "champion", "judge"]
"""The part a model plays in one run. ``base`` and ``champion`` are the baselines; a judge reads their answers."""

Layout = Literal[
    "mlflow-transformers", "huggingface", "peft", "endpoint", "mlflow-openai", "mlflow-pyfunc", "encoder", "sandbox"
]
"""How a model is kept: MLflow's transformers flavor, a plain Hugging Face folder, a bare PEFT adapter; behind an API,
named directly or by MLflow's openai flavor; as Python code that loads itself (pyfunc, scikit-learn); an encoder's
folder, in whatever layout. A sandbox is no model and has no files."""


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
class Endpoint:
    """A model behind an OpenAI-compatible API, known by address and name alone: what answers to them can change.

    ``base_url`` ends with the API's version (``https://api.openai.com/v1``) and holds no credentials; the key is in the
    environment variable ``key_variable``, and there is none where that is empty. ``messages`` stand in front of every
    prompt (MLflow's openai flavor can store some). ``root`` and ``files_digest`` are those of the registered version
    that names it, where one does.
    """

    base_url: str
    model: str
    api: Literal["chat", "completions"] = "chat"
    messages: tuple[Message, ...] = ()
    key_variable: str = "OPENAI_API_KEY"
    root: Path | None = None
    registered_digest: str | None = None

    @property
    def layout(self) -> Layout:
        return "mlflow-openai" if self.root else "endpoint"

    @property
    def digest(self) -> str:
        messages = [[message.role, message.content] for message in self.messages]
        about = ["endpoint", self.base_url, self.api, self.model, messages]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()

    @property
    def files_digest(self) -> str:
        return self.registered_digest or self.digest

    @property
    def adapter(self) -> None:
        return None

    @property
    def base_claim(self) -> str | None:
        return None


@dataclass(frozen=True, slots=True)
class PythonModel:
    """An MLflow pyfunc or scikit-learn model: loading it runs its author's code, so the gate file must trust it.

    ``digest`` covers every file: code has no smaller identity.
    """

    root: Path
    flavor: Literal["sklearn", "python_function"]
    digest: str
    total_bytes: int

    @property
    def layout(self) -> Layout:
        return "mlflow-pyfunc"

    @property
    def files_digest(self) -> str:
        return self.digest

    @property
    def adapter(self) -> None:
        return None

    @property
    def base_claim(self) -> str | None:
        return None


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """Inspected, safe-to-load files of one encoder: a judge that gives a vector for a text (``embeds``), or tells
    whether one text entails another (``entails``).

    ``digest`` covers weights, configuration, tokenizer and pooling; ``files_digest`` every file. ``relations`` says at
    which outputs entailment, neutral and contradiction are, ``longest`` how many tokens the folder allows a text where
    it allows fewer than the architecture, ``lowercase`` whether texts are lowered before they are read.
    """

    root: Path
    task: Literal["embeds", "entails"]
    weights: Path
    tokenizer: Path
    digest: str
    files_digest: str
    total_bytes: int
    pooling: Literal["mean", "cls"] = "mean"
    relations: tuple[int, int, int] = (0, 1, 2)
    longest: int | None = None
    lowercase: bool = False

    @property
    def layout(self) -> Layout:
        return "encoder"

    @property
    def adapter(self) -> None:
        return None

    @property
    def base_claim(self) -> str | None:
        return None


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where programs are run that models wrote: a judge that can ``executes``, and nothing else.

    ``backend`` is what keeps them in, ``auto`` the first that does so on this machine; ``image`` is Docker's, by
    digest. ``engine`` and ``python`` (its version, such as ``3.11``) are those that programs are run by. The digest
    covers what can change an outcome, and so not the backend: the same programs come to the same in each.
    """

    backend: Literal["auto", "bwrap", "docker"]
    image: str | None
    engine: str
    python: str

    @property
    def layout(self) -> Layout:
        return "sandbox"

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(["sandbox", self.engine, self.python, self.image]).encode()).hexdigest()

    @property
    def files_digest(self) -> str:
        return self.digest

    @property
    def root(self) -> None:
        return None

    @property
    def adapter(self) -> None:
        return None

    @property
    def base_claim(self) -> str | None:
        return None


ModelSource = ModelFiles | Endpoint | PythonModel | EncoderFiles | Sandbox
"""Where a model's answers come from. All have digest, files_digest, layout, adapter and base_claim."""


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
    files: ModelSource
    adapts: ModelFiles | None = None
    """For an adapter: the model it sits on. None means the base of the run."""

    @property
    def label(self) -> str:
        return f"{self.name} v{self.version}" if self.name and self.version else self.uri


@dataclass(frozen=True, slots=True)
class Pins:
    """The models of one run. ``champion`` is None for a first model; ``champion_note`` then says so. ``judges`` are
    keyed as evaluators name them."""

    candidate: ModelPin
    base: ModelPin
    champion: ModelPin | None
    champion_note: str = ""
    judges: Mapping[str, ModelPin] = field(default_factory=dict[str, ModelPin])

    def roles(self) -> tuple[ModelPin, ...]:
        """The models under comparison: candidate, base, and champion where there is one."""
        return (self.candidate, self.base) + ((self.champion,) if self.champion else ())

    def by_name(self) -> dict[str, ModelPin]:
        """Every model of the run: those under comparison by role, judges as evaluators name them."""
        return {**{pin.role: pin for pin in self.roles()}, **self.judges}


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
