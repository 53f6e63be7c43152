"""Kill a gate run with SIGKILL at a chosen moment, run it again, and say how both ended.

    python killing.py ORIGINAL SCRATCH POINT [POINT ...]     one JSON line per point
    python killing.py ORIGINAL SCRATCH count                 how many registry writes a whole run makes

POINT is ``before:STEP``, ``after:STEP``, ``shard:N`` (after the N-th shard of answers), ``write:N`` (just before the
N-th write to the registry), ``put:N`` (within the N-th write to the answer store, before it is committed) or ``ask:N``
(as the N-th answer comes). The heavy libraries are imported once; every run is a fork of this process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import conftest  # noqa: F401 - the environment of the tests
from judged import list_liked
from workshop import MODEL, Workshop, copy_workshop

T = TypeVar("T")
WRITES = ("set_", "create_", "log_", "delete_", "transition_", "update_")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Counting:
    """An MLflow client that counts writes, and kills the process just before one of them."""

    made = 0

    def __init__(self, client: Any, fatal: int | None) -> None:
        self._client, self._fatal = client, fatal

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not name.startswith(WRITES):
            return method

        def write(*args: Any, **kwargs: Any) -> Any:
            Counting.made += 1
            if Counting.made == self._fatal:
                die()
            return method(*args, **kwargs)

        return write


def gate_once(workshop: Workshop, point: str) -> dict[str, Any]:
    """Walk the gate in this process; ``point`` may end it."""
    from finetune_gate.gate.answers import AnswerStore
    from finetune_gate.gate.registry import registry
    from finetune_gate.gate.run import GateRequest, StepName, shards, walk

    kind, _, where = point.partition(":")
    fatal = int(where) if kind == "write" else None
    connect = registry.connect

    def counting_connect(*args: Any, **kwargs: Any) -> Any:
        connection = connect(*args, **kwargs)
        object.__setattr__(connection, "client", Counting(connection.client, fatal))
        return connection

    registry.connect = counting_connect
    shards.SHARD_SIZES = dict.fromkeys(shards.SHARD_SIZES, 16)
    put, puts, came = AnswerStore.put, 0, 0

    class DiesWithin(dict[str, Any]):
        """Answers of which only a part can be read before the process ends."""

        def items(self) -> Any:
            yield from list(super().items())[: len(self) // 2]
            die()

    def counted_put(store: AnswerStore, answers: Any, model: Any) -> None:
        nonlocal puts
        puts += 1
        if kind == "put" and puts == int(where):
            answers = DiesWithin(answers)
        put(store, answers, model)
        with (workshop.folder / "kept.log").open("a") as log:
            log.writelines(f"{model.label} {address}\n" for address in answers)
        if kind == "shard" and puts == int(where):
            die()

    AnswerStore.put = counted_put
    finite = shards._finite

    def counted_finite(answer: Any) -> Any:
        nonlocal came
        came += 1
        if kind == "ask" and came == int(where):
            die()
        return finite(answer)

    shards._finite = counted_finite

    def via(name: StepName, step: Callable[[], T], /) -> T:
        if point == f"before:{name}":
            die()
        result = step()
        if point == f"after:{name}":
            die()
        return result

    os.chdir(workshop.folder)
    result = walk(
        GateRequest(
            workshop.folder / "gate.yaml", "2", tracking_uri=workshop.uri, out=workshop.folder / "out",
            home=workshop.folder / "home",
        ),
        via=via,
    )  # fmt: skip
    record = result.record
    return {
        "decision": record.decision,
        "rules": [rule.outcome for rule in record.rules],
        "scores": record.score_table.digest,
        "record": record.digest(),
        "asked": sum(record.run.asked.values()),
        "puts": puts,
        "came": came,
        "writes": Counting.made,
    }


def forked(workshop: Workshop, point: str) -> dict[str, Any] | int:
    """The result of one run in a process of its own, or the signal that ended it."""
    answer = workshop.folder / "answer.json"
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            answer.write_text(json.dumps(gate_once(workshop, point)))
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - the border of a forked child
            print(type(error).__name__, error, file=sys.stderr, flush=True)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert os.waitstatus_to_exitcode(status) == 0, "the run failed"
    found: dict[str, Any] = json.loads(answer.read_text())
    return found


def outside(workshop: Workshop) -> dict[str, Any]:
    """What the registry's database says, read without MLflow, so that this process stays fit to fork."""
    import sqlite3

    connection = sqlite3.connect(workshop.folder / "mlflow.db")
    alias = connection.execute(
        "select version from registered_model_aliases where name = ? and alias = 'champion'", (MODEL,)
    ).fetchone()
    intent = connection.execute(
        "select count(*) from model_version_tags where name = ? and key = 'finetune_gate.promotion' "
        "and value like '%moving%'",
        (MODEL,),
    ).fetchone()
    runs = connection.execute("select count(*) from runs where status = 'FINISHED' and name like '%: %'").fetchone()
    connection.close()
    return {"champion": None if alias is None else str(alias[0]), "intents": intent[0], "published": runs[0] > 0}


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def settled(path: Path) -> list[str]:
    """The lines of a log, once none is added for a second: a server may still be reading what the dead sent."""
    lines = lines_of(path)
    while path.exists():
        time.sleep(1)
        before, lines = lines, lines_of(path)
        if len(before) == len(lines):
            break
    return lines


def main() -> None:
    original, scratch = Workshop(Path(sys.argv[1])), Path(sys.argv[2])
    list_liked()
    import peft  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import sqlalchemy.orm
    import torch
    import transformers.models.llama.modeling_llama  # noqa: F401

    import finetune_gate.gate.run  # noqa: F401

    sqlalchemy.orm.configure_mappers()
    torch.set_num_threads(1)
    for number, point in enumerate(sys.argv[3:]):
        workshop = copy_workshop(original, scratch / str(number))
        if point == "count":
            print(json.dumps(forked(workshop, "")), flush=True)
            continue
        questions = Path(os.environ.get("JUDGE_LOG", "none"))
        begun = len(lines_of(questions))
        killed = forked(workshop, point)
        found = {
            "point": point,
            "killed": killed,
            "between": outside(workshop),
            "kept_before": lines_of(workshop.folder / "kept.log"),
            "questions_before": settled(questions)[begun:],
        }
        begun = len(lines_of(questions))
        found |= {
            "again": forked(workshop, ""),
            "end": outside(workshop),
            "kept": lines_of(workshop.folder / "kept.log"),
            "questions_after": lines_of(questions)[begun:],
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
