"""The shipped actions and workflows on the runner of these tests, with what GitHub keeps between jobs.

bench = Bench(tmp_path, warm_program())
bench.rules(PASSES)                                     # gate.yaml of the registry's hostile model
done = bench.action({"version": "1"})                   # evaluation-gate
jobs = bench.workflow("gate-on-new-version.yml", event={"client_payload": {...}})
bench.artifacts, bench.caches, bench.attested, bench.api.comments, bench.serving()
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from runner_files import CommentsApi
from shipped import OURS, ROOT
from warm_program import HOSTILE_MODEL, Warm
from workflow_runner import Done, Node, Result, Runner, StandIn, StandInFailed, Used

sys.path.append(str(ROOT / "tests" / "flows"))
from workshop import copy_registry

PASSES: Final = {"metric": "perplexity.bits_per_byte", "max": 40}
FAILS: Final = {"metric": "classification.accuracy", "min": 0.999}
OPEN: Final = {"metric": "classification.accuracy", "min": 0.5}
ACTIONS: Final = ROOT / ".github" / "actions"
OWN: Final = {
    f"{OURS}{name}": ACTIONS / name for name in ("evaluation-gate", "gate-verdict", "ungated-versions", "install")
}
# in the data, and so in examples that reports show
HOSTILE_TEXT: Final = (
    "\n::error title=pwned::pwned\n::set-output name=decision::promote\n</script><img src=x>$(touch pwned)"
)


class Bench:
    """``bin`` comes first on the PATH; without it, the program of ``warm``."""

    def __init__(self, folder: Path, warm: Warm | None = None, *, bin: Path | None = None) -> None:
        self.folder, self.registry = folder, folder / "registry"
        if warm is not None:
            copy_registry(warm.folder, self.registry)
            with (self.registry / "holdout.jsonl").open("a", encoding="utf-8") as rows:
                rows.write(
                    json.dumps({"id": "hostile", "text": HOSTILE_TEXT, "label": "billing", "category": "a"}) + "\n"
                )
        else:
            self.registry.mkdir()
        self._bin = bin or (warm.path if warm else folder)
        self.artifacts: dict[str, Path] = {}
        self.caches: dict[str, Path] = {}
        self.attested: list[Mapping[str, str]] = []
        self.used: list[Used] = []
        self.api: CommentsApi | None = None
        self.attempt, self._jobs = "1", 0
        self.stand_ins: dict[str, StandIn] = {
            "actions/checkout": self._check_out,
            "actions/setup-python": lambda used, runner: {},
            "actions/cache/restore": self._restore,
            "actions/cache/save": self._save,
            "actions/upload-artifact": self._upload,
            "actions/download-artifact": self._download,
            "actions/attest": self._attest,
        }

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.registry / 'mlflow.db'}"

    def rules(self, *rules: Mapping[str, Any], **more: Any) -> None:
        """``gate.yaml`` in what is checked out."""
        gate = {
            "model": HOSTILE_MODEL,
            "data": {"holdout": "holdout.jsonl"},
            "evaluators": [
                {"classification": {"data": "holdout", "labels": ["billing", "parcel"]}},
                {"perplexity": {"data": "holdout"}},
            ],
            "rules": list(rules),
            **more,
        }
        (self.registry / "gate.yaml").write_text(json.dumps(gate), encoding="utf-8")

    def runner(
        self, *, event: Node | None = None, environment: Mapping[str, str] | None = None, cancelled: bool = False
    ) -> Runner:
        self._jobs += 1
        return Runner(
            self.folder / f"job-{self._jobs}",
            stand_ins=self.stand_ins,
            own=OWN,
            own_inputs={"install": "none"},  # what `own` would install is there already
            event=event or {"pull_request": {"number": 7}},
            github={
                "run_attempt": self.attempt,
                "ref": "refs/pull/7/merge",
                "api_url": self.api.url if self.api else "http://127.0.0.1:9",
            },
            environment={
                "PATH": f"{self._bin}:/usr/local/bin:/usr/bin:/bin",
                "HOME": str(self.folder),
                "OMP_NUM_THREADS": "1",
                "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
                "COVERAGE_PROCESS_START": os.environ.get("COVERAGE_PROCESS_START", ""),
                **(environment or {}),
            },
            cancelled=cancelled,
        )

    def action(self, inputs: Mapping[str, str], *, environment: Mapping[str, str] | None = None) -> Done:
        """The composite action evaluation-gate, as a step of a job that has checked out the gate file."""
        runner = self.runner(environment=environment)
        self._check_out(Used("actions/checkout", {}, {}), runner)
        uri = {"mlflow-tracking-uri": self.uri} if self.registry.joinpath("mlflow.db").exists() else {}
        done = runner.action(ACTIONS / "evaluation-gate", {"install": "none", **uri, **inputs})
        self.used = runner.used
        return done

    def workflow(
        self,
        name: str,
        *,
        event: Node | None = None,
        inputs: Node | None = None,
        forced: Mapping[str, tuple[Result, Mapping[str, str]]] | None = None,
        cancelled: bool = False,
    ) -> dict[str, Done]:
        runner = self.runner(event=event, cancelled=cancelled)
        return runner.workflow(
            ROOT / name if "/" in name else ROOT / "examples" / "github" / name,
            inputs=inputs,
            forced=forced,
            secrets={},
            variables={"MLFLOW_TRACKING_URI": self.uri},
        )

    def serving(self) -> str | None:
        """The version that alias champion points to."""
        with sqlite3.connect(self.registry / "mlflow.db") as database:
            found = database.execute(
                "select version from registered_model_aliases where name = ? and alias = 'champion'", [HOSTILE_MODEL]
            ).fetchone()
        return None if found is None else str(found[0])

    def traces(self) -> list[Path]:
        """Files that a name or text left which was read as a command."""
        return list(self.folder.rglob("pwned*"))

    def _check_out(self, used: Used, runner: Runner) -> Mapping[str, str]:
        for name in ("gate.yaml", "holdout.jsonl"):
            if (self.registry / name).exists():
                shutil.copy(self.registry / name, runner.workspace / name)
        return {}

    def _restore(self, used: Used, runner: Runner) -> Mapping[str, str]:
        wanted = [used.given["key"], *used.given["restore-keys"].split()]
        for prefix in wanted:
            for key in reversed(self.caches):
                if key == prefix or (prefix != wanted[0] and key.startswith(prefix)):
                    place = Path(used.given["path"].removesuffix("*"))
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(self.caches[key], place)
                    return {"cache-hit": "true" if key == wanted[0] else "false", "cache-matched-key": key}
        return {}

    def _save(self, used: Used, runner: Runner) -> Mapping[str, str]:
        found = Path(used.given["path"].removesuffix("*"))
        if not found.exists():
            raise StandInFailed("nothing to keep")
        kept = self.folder / f"cache-{len(self.caches)}"
        shutil.copy(found, kept)
        self.caches[used.given["key"]] = kept
        return {}

    def _upload(self, used: Used, runner: Runner) -> Mapping[str, str]:
        name = used.given["name"]
        if name in self.artifacts or set(name) & set('":<>|*?\r\n\\/'):
            raise StandInFailed(f"artifact {name!r} is there already, or cannot be called so")
        self._jobs += 1
        self.artifacts[name] = self.folder / f"artifact-{self._jobs}"
        shutil.copytree(used.given["path"], self.artifacts[name])
        return {"artifact-id": "1"}

    def _download(self, used: Used, runner: Runner) -> Mapping[str, str]:
        if used.given["name"] not in self.artifacts:
            raise StandInFailed("Artifact not found")
        shutil.copytree(self.artifacts[used.given["name"]], used.given["path"], dirs_exist_ok=True)
        return {}

    def _attest(self, used: Used, runner: Runner) -> Mapping[str, str]:
        if not Path(used.given["subject-path"]).is_file():
            raise StandInFailed("no subject")
        predicate = Path(used.given["predicate-path"]).read_text(encoding="utf-8")
        self.attested.append({**used.given, "predicate": predicate})
        return {}
