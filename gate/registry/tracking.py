"""One MLflow run per gate run, where people look for it: figures, the decision record, the report.

    tracking = Tracking(registry)
    run_id = tracking.open_run("support-bot", run_key, "support-bot v7: promote", {})
    tracking.log_files(run_id, [folder / "record.json", folder / "report.html"])
    tracking.log_results(run_id, {"classification.accuracy": 0.81}, {"candidate": "support-bot v7"}, {})
    tracking.finish_run(run_id, "FINISHED")

Uses the client only, never MLflow's active run, which belongs to the user's own process.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import posixpath
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar

from finetune_gate.evaluators.errors import Problem, RegistryError

from .artifacts import local_path
from .figures import Figure, UsedData
from .mlflow_client import NotInRegistry, public_uri
from .mlflow_types import RunEntity
from .registered import RegisteredVersion
from .registry import Registry

V = TypeVar("V")
RunStatus = Literal["FINISHED", "FAILED", "KILLED"]

FOLDER: Final = "finetune_gate"
"""Artifact folder of a gate run."""

RUN_KEY_TAG: Final = "finetune_gate.run_key"
_METRICS_PER_CALL: Final = 1000
_OTHERS_PER_CALL: Final = 100
MAX_RUN_NAME: Final = 250
_MAX_KEY: Final = 250
_MAX_PARAM: Final = 6000
_MAX_TAG: Final = 5000


@dataclass(frozen=True, slots=True)
class PastRun:
    """A gate run as MLflow keeps it. ``started_ms``: milliseconds since 1970, UTC."""

    run_id: str
    started_ms: int
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def key(self) -> str:
        """Equal for gates of equal models, gate file and data."""
        return self.tags.get(RUN_KEY_TAG, self.run_id)

    @staticmethod
    def of(run: RunEntity) -> PastRun:
        data = run.data
        return PastRun(run.info.run_id, run.info.start_time, dict(data.tags), dict(data.params), dict(data.metrics))


class Tracking:
    """The tracking side of the registry's connection."""

    def __init__(self, registry: Registry) -> None:
        self._connection = registry.connection
        self._client = registry.connection.client

    def open_run(self, model: str, run_key: str, run_name: str, tags: Mapping[str, str]) -> str:
        """The id of the run for ``run_key`` in experiment ``finetune-gate/<model>``: the one that a killed gate run
        left unfinished, or else a new one. ``run_key``: one word, such as a digest.
        """
        if not re.fullmatch(r"[\w.:-]{1,250}", run_key):
            raise ValueError(f"run key {run_key!r} is not one word")
        experiment = self._experiment(f"finetune-gate/{model}")
        with self._connection.doing(f"look for the unfinished run {run_key[:12]}"):
            found = self._client.search_runs(
                [experiment],
                f"tags.`{RUN_KEY_TAG}` = '{run_key}'",
                max_results=100,
                order_by=["attributes.start_time ASC"],
            )
            for run in found:
                if run.info.status not in ("FINISHED", "FAILED"):
                    if run.info.status != "RUNNING":
                        self._client.update_run(run.info.run_id, "RUNNING")
                    self._connection.log_batch(run.info.run_id, {}, {}, _tags(tags), 0)
                    return run.info.run_id
        with self._connection.doing(f"create a run in experiment finetune-gate/{model}"):
            created = self._client.create_run(
                experiment, tags={**_tags(tags), RUN_KEY_TAG: run_key}, run_name=run_name[:MAX_RUN_NAME]
            )
        return created.info.run_id

    def log_files(self, run_id: str, files: Path | Sequence[Path], artifact_path: str = FOLDER) -> None:
        """Log one folder with all that is in it, or the given files; a file of the same name is replaced."""
        with self._connection.doing(f"log files to run {run_id}"):
            if isinstance(files, Path) and files.is_dir():
                self._client.log_artifacts(run_id, str(files), artifact_path)
                return
            for path in [files] if isinstance(files, Path) else files:
                self._client.log_artifact(run_id, str(path), artifact_path)

    def log_results(
        self, run_id: str, metrics: Mapping[str, float | Figure], params: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        """Log figures, parameters and tags; saying the same twice leaves it said once.

        Metrics are finite numbers (ValueError otherwise: a figure that could not be measured is left out, not logged
        as NaN). A `Figure` with a model is logged for that model, too. Characters that MLflow does not allow in a name
        become ``_``, and two names that would then be one get a hash behind them. Values longer than MLflow stores are
        cut, with a mark.
        """
        figures = {name: one if isinstance(one, Figure) else Figure(one) for name, one in metrics.items()}
        for name, figure in figures.items():
            if not math.isfinite(figure.value):
                raise ValueError(f"metric {name!r} is {figure.value}")
        with self._connection.doing(f"read run {run_id}"):
            run = self._client.get_run(run_id)
        legal_params = {key: _cut(value, _MAX_PARAM) for key, value in legal_names(params).items()}
        new_params = {key: value for key, value in legal_params.items() if run.data.params.get(key) != value}
        # the run's own start as the time of each figure: logged again by a resumed run, it is the same figure
        at_ms = run.info.start_time
        for part in _parts(legal_names(figures).items(), _METRICS_PER_CALL):
            self._connection.log_batch(run_id, part, {}, {}, at_ms)
        for part in _parts(new_params.items(), _OTHERS_PER_CALL):
            self._connection.log_batch(run_id, {}, part, {}, at_ms)
        for part in _parts(_tags(tags).items(), _OTHERS_PER_CALL):
            self._connection.log_batch(run_id, {}, {}, part, at_ms)

    def log_inputs(self, run_id: str, data: Sequence[UsedData], model_id: str | None = None) -> None:
        """Log what the run was about: datasets, and the logged model under test where there is one. MLflow names a
        dataset by its name and digest, and keeps one of each."""
        self._connection.log_inputs(run_id, data, model_id)

    def logged_model(self, version: RegisteredVersion) -> str | None:
        """The id of the logged model that ``version`` was registered from; None where it is of files alone, or of a
        model that is not on this tracking server any more."""
        named = re.fullmatch(r"models:/(m-[0-9A-Za-z]+)/?", version.source)
        if named is None:
            return None
        try:
            with self._connection.doing(f"read the logged model of {version.label}"):
                return self._client.get_logged_model(named[1]).model_id
        except NotInRegistry:
            return None

    def finish_run(self, run_id: str, status: RunStatus = "FINISHED") -> None:
        """End the run. FINISHED and FAILED are final; a KILLED one is taken up again by `open_run`."""
        with self._connection.doing(f"end run {run_id}"):
            self._client.set_terminated(run_id, status)

    def record_address(self, run_id: str, name: str) -> str:
        """Address of a logged file: ``runs:/<id>/finetune_gate/<name>``; `fetch` brings it back."""
        return f"runs:/{run_id}/{FOLDER}/{name}"

    def fetch(self, uri: str, into: Path) -> Path:
        """Copy the file or folder at ``uri`` (``runs:/...``, or any artifact address) into folder ``into``."""
        address = self._address(uri)
        name = posixpath.basename(address.rstrip("/"))
        local = local_path(address)
        if local is not None:
            found = local.exists()
        else:
            beside = self._connection.list_artifacts(posixpath.dirname(address.rstrip("/")))
            found = name in {posixpath.basename(entry.path) for entry in beside}
        if not found:
            raise NotInRegistry(
                Problem(public_uri(uri), "there is no such file", "a file that a gate run logged", "check the address")
            )
        into.mkdir(parents=True, exist_ok=True)
        if local is None:
            return self._connection.download_artifacts(address, into)
        if local.is_dir():
            return Path(shutil.copytree(local, into / name, dirs_exist_ok=True))
        return Path(shutil.copyfile(local, into / name))

    def past_runs(self, model: str, most: int = 1000) -> list[PastRun]:
        """The newest gate runs of ``model`` that came to a decision, oldest first; dry runs are among them."""
        name = f"finetune-gate/{model}"
        with self._connection.doing(f"read experiment {name!r}"):
            experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            return []
        found: list[PastRun] = []
        token: str | None = None
        with self._connection.doing(f"read the runs of experiment {name!r}"):
            while len(found) < most:
                page = self._client.search_runs(
                    [experiment.experiment_id],
                    "attributes.status = 'FINISHED'",
                    max_results=min(200, most - len(found)),
                    order_by=["attributes.start_time DESC"],
                    page_token=token,
                )
                found += [PastRun.of(run) for run in page]
                token = page.token
                if not token:
                    break
        return found[::-1]

    def run_url(self, run_id: str) -> str | None:
        """The run's page, for people; None where MLflow is not a server."""
        if not self._connection.serves_http:
            return None
        with self._connection.doing(f"read run {run_id}"):
            experiment = self._client.get_run(run_id).info.experiment_id
        base = public_uri(self._connection.tracking_uri).rstrip("/")
        return f"{base}/#/experiments/{experiment}/runs/{run_id}"

    def file_page(self, run_id: str, name: str) -> str:
        """Where people open a file that `log_files` logged: its page, or its address where MLflow is not a server."""
        page = self.run_url(run_id)
        return self.record_address(run_id, name) if page is None else page_of_file(page, name)

    def _address(self, uri: str) -> str:
        if not uri.startswith("runs:/"):
            return uri
        run_id, _, path = uri.removeprefix("runs:/").strip("/").partition("/")
        with self._connection.doing(f"read run {run_id}"):
            root = self._client.get_run(run_id).info.artifact_uri
        if not path or ".." in path.split("/"):
            raise RegistryError(Problem(public_uri(uri), "that is no file of a run", "runs:/<run id>/<path>"))
        return f"{root.rstrip('/')}/{path}"

    def _experiment(self, name: str) -> str:
        for attempt in (1, 2):
            with self._connection.doing(f"read experiment {name!r}"):
                found = self._client.get_experiment_by_name(name)
            if found is not None:
                break
            try:
                with self._connection.doing(f"create experiment {name!r}"):
                    return self._client.create_experiment(name)
            except RegistryError:
                if attempt == 2:  # the first time, another run may have been faster
                    raise
        assert found is not None
        if found.lifecycle_stage == "deleted":
            raise RegistryError(
                Problem(
                    where=f"experiment {name!r}",
                    found="it is deleted, and MLflow keeps its name",
                    expected="a place to log gate runs",
                    way_out=f"restore it: mlflow experiments restore --experiment-id {found.experiment_id}",
                )
            )
        return found.experiment_id


def page_of_file(run_url: str, name: str) -> str:
    """The page of a logged file, beside that of its run."""
    return f"{run_url}/artifacts/{FOLDER}/{name}"


def legal_names(values: Mapping[str, V]) -> dict[str, V]:
    """Keys as MLflow allows them: letters, digits and ``_ - . : /`` and space, no path that means another.

    >>> legal_names({"recall[category=billing]": 0.7, "vs_base/accuracy": 0.1})
    {'recall_category_billing_': 0.7, 'vs_base/accuracy': 0.1}
    """
    legal = {key: _legal(key) for key in values}
    shared = {name for name, group in _grouped(legal.values()).items() if group > 1}
    return {
        f"{name[: _MAX_KEY - 9]}.{hashlib.sha256(key.encode()).hexdigest()[:8]}" if name in shared else name: values[
            key
        ]
        for key, name in legal.items()
    }


def _legal(key: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_.:/ -]", "_", key) or "_"
    if posixpath.normpath(name) != name or name.startswith(("/", "..")) or name == ".":
        name = re.sub(r"[/.]+", "_", name)
    return name[:_MAX_KEY]


def _grouped(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: _cut(value, _MAX_TAG) for key, value in legal_names(tags).items()}


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _parts(items: Iterable[tuple[str, V]], size: int) -> Iterable[dict[str, V]]:
    left = iter(items)
    while part := dict(itertools.islice(left, size)):
        yield part
