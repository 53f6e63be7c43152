"""Answers among MLflow's artifacts: experiment ``finetune-gate/answers``.

One MLflow run holds the packs of one model that one gate run has pushed, as artifacts under ``packs/``; its tag
``finetune_gate.answers_of`` is the model's digest. So no two writers ever share a run; a run that has ended is settled
and can be replaced, together with others, by one that holds all of their answers. Runs are deleted as MLflow does it:
they can be restored until ``mlflow gc`` removes their files.
"""

from __future__ import annotations

import posixpath
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from finetune_gate.evaluators.errors import Problem, RegistryError

from ..registry.mlflow_client import Connection, NotInRegistry, public_uri
from ..registry.mlflow_types import Experiment, RunEntity
from .packs import folder_name, is_pack_name
from .places import Pack, place_number
from .store import ModelKey

EXPERIMENT: Final = "finetune-gate/answers"
MODEL_TAG: Final = "finetune_gate.answers_of"
FOLDER: Final = "packs"
ABANDONED_HOURS: Final = 48
"""A run that is still open after this long belongs to a process that was killed."""

_MOST_RUNS: Final = 1000


class MlflowAnswers:
    """Uses the client only, never MLflow's active run, which belongs to the user's own process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client = connection.client
        self._open_runs: dict[str, str] = {}
        self._places: dict[str, str] = {}

    @property
    def label(self) -> str:
        return f"MLflow at {public_uri(self._connection.tracking_uri)}"

    @property
    def number(self) -> int:
        return place_number(f"mlflow {public_uri(self._connection.tracking_uri)}")

    def packs(self, digest: str) -> list[Pack]:
        found: list[Pack] = []
        for run in self._runs(digest):
            self._places[run.info.run_id] = run.info.artifact_uri
            settled = run.info.status != "RUNNING" or run.info.start_time < 1000 * (
                time.time() - 3600 * ABANDONED_HOURS
            )
            found += [
                Pack(name, run.info.run_id, size, settled) for name, size in self._listed(run.info.run_id).items()
            ]
        return found

    def read(self, digest: str, pack: Pack, limit: int) -> bytes | None:
        with tempfile.TemporaryDirectory(prefix="finetune-gate-") as folder:
            try:
                path = self._connection.download_artifacts(f"{self._uri(pack.group)}/{pack.name}", Path(folder))
            except RegistryError:
                if pack.name in self._listed(pack.group):
                    raise
                return None
            with path.open("rb") as file:
                return file.read(limit + 1)

    def write(self, model: ModelKey, packs: Mapping[str, bytes]) -> None:
        run_id = self._open_runs.get(model.digest) or self._begin(model)
        with tempfile.TemporaryDirectory(prefix="finetune-gate-") as folder:
            for name, content in packs.items():
                path = Path(folder, name)
                path.write_bytes(content)
                with self._connection.doing("share answers"):
                    self._client.log_artifact(run_id, str(path), FOLDER)

    def remove(self, digest: str, packs: Sequence[Pack]) -> None:
        for run_id in dict.fromkeys(pack.group for pack in packs):
            try:
                with self._connection.doing(f"delete run {run_id}, whose answers are in another"):
                    self._client.delete_run(run_id)
            except RegistryError:
                if run_id in {run.info.run_id for run in self._runs(digest)}:
                    raise  # otherwise somebody else has done it

    def close(self) -> None:
        while self._open_runs:
            _, run_id = self._open_runs.popitem()
            with self._connection.doing(f"end run {run_id}"):
                self._client.set_terminated(run_id, "FINISHED")

    def _listed(self, run_id: str) -> dict[str, int | None]:
        """Packs of one run, and how large they are."""
        try:
            entries = self._connection.list_artifacts(self._uri(run_id))
        except NotInRegistry:
            return {}
        names = ((posixpath.basename(entry.path), entry) for entry in entries)
        return {name: entry.file_size for name, entry in names if is_pack_name(name) and not entry.is_dir}

    def _uri(self, run_id: str) -> str:
        return f"{self._places[run_id].rstrip('/')}/{FOLDER}"

    def _runs(self, digest: str) -> list[RunEntity]:
        experiment = self._found_experiment()
        if experiment is None or experiment.lifecycle_stage == "deleted":
            return []
        with self._connection.doing("look for shared answers"):
            found = self._client.search_runs(
                [experiment.experiment_id],
                f"tags.`{MODEL_TAG}` = '{folder_name(digest)}'",
                max_results=_MOST_RUNS,
                order_by=["attributes.start_time DESC"],
            )
        return list(found)

    def _begin(self, model: ModelKey) -> str:
        tags = {MODEL_TAG: folder_name(model.digest)}
        with self._connection.doing("begin a run for shared answers"):
            run = self._client.create_run(self._experiment(), tags=tags, run_name=f"answers of {model.label}"[:250])
        self._open_runs[model.digest] = run.info.run_id
        return run.info.run_id

    def _experiment(self) -> str:
        found = self._found_experiment()
        if found is None:
            try:
                with self._connection.doing(f"create experiment {EXPERIMENT!r}"):
                    return self._client.create_experiment(EXPERIMENT)
            except RegistryError:
                found = self._found_experiment()
                if found is None:  # otherwise another run was faster
                    raise
        if found.lifecycle_stage == "deleted":
            way_out = f"restore it: mlflow experiments restore --experiment-id {found.experiment_id}"
            raise RegistryError(
                Problem(f"experiment {EXPERIMENT!r}", "it is deleted, and MLflow keeps its name", "", way_out)
            )
        return found.experiment_id

    def _found_experiment(self) -> Experiment | None:
        with self._connection.doing(f"read experiment {EXPERIMENT!r}"):
            return self._client.get_experiment_by_name(EXPERIMENT)
