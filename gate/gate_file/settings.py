"""The gate file: what a new version of one registered model must show, before it may serve.

gate = load_gate_file(Path("gate.yaml"))
gate.file.model, gate.evaluators, gate.digest
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from finetune_gate.evaluators.datasets import DatasetSource
from finetune_gate.evaluators.evaluator import Evaluator

from .rules import Rule

RESERVED_SCHEMES = frozenset(
    (
        *("auto", "models", "runs", "file", "http", "https", "s3", "gs", "gcs", "abfs", "abfss", "wasb", "wasbs"),
        *("ftp", "sftp", "dbfs", "uc", "hdfs", "viewfs", "hf", "mlflow-artifacts", "sandbox"),
    )
)
"""What addresses begin with that mean something else already."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _path_shorthand(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


DataEntry = Annotated[DatasetSource, BeforeValidator(_path_shorthand)]
"""A path, or a mapping with ``path`` and the columns that have a meaning."""


OWN_TAGS = "finetune_gate."
"""What keys of tags begin with that finetune-gate sets itself."""


def _not_reserved(alias: str) -> str:
    if alias.lower() == "latest" or re.fullmatch(r"[vV][0-9]+", alias):
        raise ValueError("a name that MLflow reserves; expected another, such as champion")
    return alias


AliasName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,255}$"), AfterValidator(_not_reserved)]
"""An alias as MLflow allows it."""


class Promotion(_Section):
    """What a decision to promote changes in the registry."""

    alias: AliasName = Field(default="champion", description="alias that is moved")
    stage: Literal["Staging", "Production"] | None = Field(
        default=None, description="legacy stage to move to as well, for registries that still use stages"
    )
    rejudge: int = Field(
        default=0, ge=0, le=10, description="how often to judge again, where the champion was moved while judging"
    )
    approval: Literal["none", "required"] = Field(
        default="none", description="required: what the rules would promote is held until a person approves it"
    )


class Triggers(_Section):
    """Which versions ask to be gated, for `finetune-gate watch` and `serve`. Each is gated once by one gate file."""

    new_versions: bool = Field(default=True, description="versions registered since the model is being watched")
    stages: list[Literal["Staging", "Production", "Archived"]] = Field(
        default=["Staging"], description="versions in one of these legacy stages"
    )
    aliases: list[AliasName] = Field(default=["candidate"], description="versions that one of these aliases points to")
    tags: dict[str, str] = Field(
        default={"gate": "requested"}, description='versions with one of these tags; "*" stands for any value'
    )

    @field_validator("tags")
    @classmethod
    def _not_our_own(cls, tags: dict[str, str]) -> dict[str, str]:
        for key in tags:
            if not key or key.startswith(OWN_TAGS):
                raise ValueError(f"tag {key!r}; expected a tag that finetune-gate does not set itself")
        return tags


class EndpointSettings(_Section):
    """An OpenAI-compatible API: ``endpoints: {vllm: {base_url: http://127.0.0.1:8000/v1}}`` makes ``vllm:/NAME`` a
    model. The entry ``openai`` stands for ``openai:/NAME`` and for MLflow's openai flavor."""

    base_url: str | None = Field(
        default=None, description="address up to and with the version; default OPENAI_BASE_URL, else OpenAI's own"
    )
    key: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="environment variable with the key; where base_url is another's than OpenAI's, none by default",
    )
    api: Literal["chat", "completions"] = Field(default="chat", description="which of the two the server speaks")
    max_in_flight: int = Field(default=64, ge=1, le=1024, description="most requests at once; fewer where it refuses")
    call_seconds: float = Field(default=120.0, gt=0, le=3600, description="deadline of one answer, retries included")
    response_bytes: int = Field(default=4 << 20, ge=1024, description="longest response that is read")

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, base_url: str | None) -> str | None:
        parts = urlsplit(base_url or "http://none")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an address such as http://127.0.0.1:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("an address without user, password and query: name the key's variable in `key`")
        return base_url.rstrip("/") if base_url else None


Amount = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class Price(_Section):
    """What an API charges, in the budget's currency per million tokens. 0 for a server that costs nothing."""

    input: Amount = Field(description="per million tokens that are sent")
    output: Amount = Field(description="per million tokens that are written")


class BudgetSettings(_Section):
    """The most that one run may ask of APIs, and how long asking judges may take: ``budget: {calls: 2000, money: 5.00,
    prices: {"openai:/gpt-4o": {input: 2.50, output: 10.00}}}``."""

    calls: int | None = Field(default=None, ge=1, le=10**12, description="calls to APIs, retries included")
    tokens: int | None = Field(
        default=None, ge=1, le=10**15, description="tokens that APIs read and write, as they count them"
    )
    seconds: float | None = Field(default=None, gt=0, le=1e9, allow_inf_nan=False, description="time of asking judges")
    money: float | None = Field(
        default=None, gt=0, le=1e9, allow_inf_nan=False, description="cost of all calls; needs a price for each model"
    )
    currency: str = Field(default="USD", pattern=r"^[A-Za-z€£¥₹$]{1,8}$", description="only shown")
    prices: dict[str, Price] = Field(
        default_factory=dict, description="by the address of a model, such as openai:/gpt-4o, per million tokens"
    )

    @model_validator(mode="after")
    def _says_something(self) -> BudgetSettings:
        if not self.prices and all(one is None for one in (self.calls, self.tokens, self.seconds, self.money)):
            raise ValueError("nothing in it; expected calls, tokens, seconds, money or prices")
        return self


class Execution(_Section):
    """How answers are computed. Nothing here but ``looks`` may change a decision, except by rounding of dtype."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch_tokens: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default="auto", description="tokens per batch, padding included"
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="seed of resampling and sampling")
    runner: Literal["local", "dask", "ray"] = Field(
        default="local", description="where shards are answered: this process, or workers of a cluster"
    )
    cluster: str | None = Field(
        default=None, description="address of a running Dask or Ray cluster; none starts one on this machine"
    )
    workers: int | None = Field(
        default=None, ge=1, le=1024, description="workers of a cluster started here; on Ray, shards at once on any"
    )
    store: str = Field(
        default="local",
        min_length=1,
        description="where answers are shared: local (this machine), mlflow, or an fsspec URL such as s3://bucket/path",
    )

    looks: list[Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]] = Field(
        default=[1.0],
        min_length=1,
        max_length=10,
        description="shares of the examples after which to judge, and stop where all is clear; [1] looks once, at all",
    )

    @field_validator("looks")
    @classmethod
    def _looks_grow(cls, looks: list[float]) -> list[float]:
        if looks[-1] != 1 or any(later <= earlier for earlier, later in pairwise(looks)):
            raise ValueError(f"{looks}; expected growing shares that end with 1, such as [0.25, 0.5, 0.75, 1]")
        return looks

    @model_validator(mode="after")
    def _cluster_in_use(self) -> Execution:
        idle = [name for name in ("cluster", "workers") if getattr(self, name) is not None]
        if self.runner == "local" and idle:
            raise ValueError(f"{' and '.join(idle)} given, and runner is local; expected runner: dask or ray")
        return self


class Reviewing(_Section):
    """Whether a decision to hold waits for a person. Only runs of a Prefect deployment can wait."""

    wait: Literal["never", "hold"] = Field(
        default="never", description="hold: the Prefect run is suspended until a person approves, blocks or looks again"
    )
    hours: float = Field(default=72.0, gt=0, le=24 * 30, description="how long, counted from the first wait")


class Reporting(_Section):
    """What is kept for people to read. Never decided by."""

    examples: int = Field(
        default=10_000,
        ge=0,
        le=100_000,
        description="examples of each evaluator that are kept with their texts, drawn by execution.seed; 0: none",
    )
    describe_version: bool = Field(
        default=True, description="write the verdict into the description of the version in MLflow, as a section of it"
    )


class GateFile(_Section):
    """The settings of a gate file, except its evaluators, which are built by their own classes."""

    model: str = Field(min_length=1, max_length=256, description="registered model in MLflow")
    base: str = Field(
        default="auto",
        min_length=1,
        description="what it was fine-tuned from: auto, models:/..., runs:/..., a folder, a hub id, openai:/NAME",
    )
    champion: str | None = Field(default="@champion", description="what serves now: @alias, a version, or null")
    data: dict[str, DataEntry] = Field(min_length=1, description="datasets by name")
    evaluators: list[dict[str, dict[str, object]]] = Field(min_length=1, description="what to measure")
    rules: list[Rule] = Field(min_length=1, description="what must hold")
    promotion: Promotion = Promotion()
    triggers: Triggers = Triggers()
    execution: Execution = Execution()
    review: Reviewing = Reviewing()
    report: Reporting = Reporting()
    endpoints: dict[str, EndpointSettings] = Field(
        default_factory=dict, description="OpenAI-compatible APIs by the name that model addresses begin with"
    )
    budget: BudgetSettings | None = Field(default=None, description="the most that one run may ask; none: no limit")
    trust: Literal["files", "code"] = Field(
        default="files", description="code: versions that are Python code (pyfunc, scikit-learn) may run it, apart"
    )
    allow_files: list[str] = Field(
        default_factory=list,
        description="names (globs) of files that may lie beside the model although they are never loaded",
    )

    @field_validator("endpoints")
    @classmethod
    def _names_of_their_own(cls, endpoints: dict[str, EndpointSettings]) -> dict[str, EndpointSettings]:
        for name in endpoints:
            if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name) or name in RESERVED_SCHEMES:
                taken = ", ".join(sorted(RESERVED_SCHEMES))
                raise ValueError(f"endpoint {name!r}; expected lower-case letters, digits and -, and none of {taken}")
        return endpoints


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate file, checked: its settings, its evaluators by title, and the digest of its bytes."""

    path: Path
    digest: str
    file: GateFile
    evaluators: Mapping[str, Evaluator]
    rules: tuple[Rule, ...]
    """Those of the file in its order, then one for every metric with a limit of its own that no rule speaks of."""

    @property
    def folder(self) -> Path:
        """Paths in the gate file are relative to this."""
        return self.path.parent

    @property
    def slice_columns(self) -> tuple[str, ...]:
        """What scores keep of an example besides its group: the columns that rules cut by, and its category."""
        return tuple(sorted({column for rule in self.rules for column in rule.columns} | {"category"}))
