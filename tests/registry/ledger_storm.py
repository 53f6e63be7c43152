"""Many gates of one model at once, some of them killed: exactly one moves the alias, in every round.

    python ledger_storm.py --gates 32 --kills 10 --rounds 20                        a server of its own, on SQLite
    python ledger_storm.py --gates 32 --kills 10 --rounds 20 --database postgres
    python ledger_storm.py --server http://127.0.0.1:5000 --gates 6 --kills 2 --rounds 2

In every round all gates are judged against the same champion, and then act at once, each for a version of its own;
some are killed with SIGKILL, before a write of theirs or at a moment, both chosen at random. Then somebody reconciles.
Prints one line of JSON per round; ends with status 1 if anything was not as it must be. Every gate is a process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from mlflow_serving import mlflow_server, postgres

from finetune_gate.gate.pins import ModelPin, Pins
from finetune_gate.gate.registry import Author, Ledger, LedgerPromotion, Registry, reconcile

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # its thread changes the environment while others read it
MODEL = "storm"
WRITES = ("set_", "create_", "delete_", "transition_")
MOST_WRITES = 8
"""Writes of one promotion: the last kills come after everything that moves something."""


class Mortal:
    """An MLflow client that kills its process before its n-th write."""

    def __init__(self, client: Any, fatal: int | None) -> None:
        self._client, self._left = client, fatal

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not name.startswith(WRITES) or self._left is None:
            return method

        def write(*args: Any, **kwargs: Any) -> Any:
            assert self._left is not None
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1
            return method(*args, **kwargs)

        return write


def pin(version: str) -> ModelPin:
    """As much of a pin as a promotion looks at."""
    return ModelPin("candidate", f"models:/{MODEL}/{version}", MODEL, version, None, "version", cast(Any, None))


def gate(server: str, folder: Path, version: str, fatal: int | None) -> dict[str, Any]:
    """What one gate does with the registry: pin, wait until all have, promote, note, finish."""
    registry = Registry.connect(server)
    author = Author(f"gate of version {version}", "storm")
    generation = LedgerPromotion(registry, author).settle(MODEL, "champion").standing.generation
    serves = registry.alias_version(MODEL, "champion")
    (folder / f"ready-{version}").touch()
    while not (folder / "go").exists():
        time.sleep(0.02)
    client: Any = Mortal(registry.connection.client, fatal)
    registry = Registry(replace(registry.connection, client=client))
    promoter = LedgerPromotion(registry, author)
    pins = Pins(pin(version), pin(version), pin(serves) if serves else None, "", {})
    address = f"runs:/{version.rjust(32, '0')}/finetune_gate/record.json"
    begun = time.monotonic()
    move = promoter.promote(
        pins, "champion", "Production", f"d{version}", address, generation=generation, reason="All rules passed."
    )
    took = time.monotonic() - begun
    promoter.note(
        pins, "hold" if move.outcome == "stale" else "promote", move.detail, address, f"d{version}",
        generation=generation,
    )  # fmt: skip
    promoter.finish(pins)
    return {"version": version, "outcome": move.outcome, "entry": move.entry, "took": took}


def forked(work: Any, answer: Path) -> int:
    child = os.fork()
    if child:
        return child
    try:
        answer.write_text(json.dumps(work()))
        os._exit(0)
    except BaseException:  # noqa: BLE001 - the border of a forked child
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def waited(child: int) -> int:
    return os.waitpid(child, 0)[1]


def settled(server: str) -> dict[str, Any]:
    """Reconcile, and say what is there afterwards."""
    registry = Registry.connect(server)
    begun = time.monotonic()
    done = reconcile(registry, MODEL, Author("reconciler", "storm"))
    took = time.monotonic() - begun
    found = Ledger(registry, MODEL).read()
    client: Any = registry.connection.client
    with warnings.catch_warnings(action="ignore"):  # stages are deprecated
        production = client.get_latest_versions(MODEL, ["Production"])
    return {
        "took": took,
        "deeds": [deed.said for one in done.values() for deed in one.deeds],
        "serves": registry.alias_version(MODEL, "champion"),
        "production": [str(version.version) for version in production],
        "generation": found.standing("champion").generation,
        "version": found.standing("champion").version,
        "kinds": dict(Counter(row.entry.kind if row.entry else "none" for row in found.rows)),
        "fates": dict(Counter(found.fates.values())),
        "moves": [
            [row.number, row.entry.generation, row.entry.after, found.fates[row.number]]
            for row in found.rows
            if row.entry and row.entry.kind != "refusal"
        ],
    }


def prepared(server: str, versions: int) -> int:
    registry = Registry.connect(server)
    client: Any = registry.connection.client
    client.create_registered_model(MODEL)
    for _ in range(versions):
        client.create_model_version(MODEL, "finetune-gate:/storm", await_creation_for=0)
    client.set_registered_model_alias(MODEL, "champion", "1")
    return 0


def ended(children: Mapping[str, int], until: Mapping[str, float]) -> dict[str, int]:
    """How every child ended. One that still runs at its moment of `until` (monotonic) is killed."""
    ends: dict[str, int] = {}
    while len(ends) < len(children):
        for version in children.keys() - ends.keys():
            pid, status = os.waitpid(children[version], os.WNOHANG)
            if pid:
                ends[version] = status
            elif time.monotonic() > until.get(version, float("inf")):
                os.kill(children[version], signal.SIGKILL)
        time.sleep(0.02)
    return ends


def one_round(
    server: str, folder: Path, gates: int, kills: int, chance: random.Random, longest: float
) -> tuple[Any, list[str]]:
    """What happened, and what was not as it must be. ``longest``: by when at the latest, after the start in seconds,
    those are killed that are to be."""
    folder.mkdir()
    before = json.loads((folder.parent / "last.json").read_text())
    versions = [str(number) for number in chance.sample(range(1, gates + 2), gates + 1)]
    versions = [version for version in versions if version != before["serves"]][:gates]
    fatal = {version: chance.randrange(MOST_WRITES) for version in versions[:kills]}
    begun = time.monotonic()
    children = {
        version: forked(
            lambda v=version: gate(server, folder, v, fatal.get(v)), folder / f"answer-{version}"
        )
        for version in versions
    }  # fmt: skip
    ends: dict[str, int] = {}
    try:
        while len(list(folder.glob("ready-*"))) < gates:
            time.sleep(0.05)
            assert time.monotonic() - begun < 300, "not all gates got ready"
        (folder / "go").touch()
        ends = ended(children, {version: time.monotonic() + chance.uniform(0.0, longest) for version in fatal})
    finally:
        for version in children.keys() - ends.keys():
            os.kill(children[version], signal.SIGKILL)
    assert waited(forked(lambda: settled(server), folder.parent / "last.json")) == 0
    after = json.loads((folder.parent / "last.json").read_text())
    answers = [json.loads(path.read_text()) for path in folder.glob("answer-*") if path.stat().st_size]
    outcomes = Counter(answer["outcome"] for answer in answers)

    wrong: list[str] = []
    failed = [version for version, end in ends.items() if end not in (0, signal.SIGKILL)]
    if failed:
        wrong.append(f"gates {failed} failed")
    if after["serves"] != after["version"]:
        wrong.append(f"the alias is at {after['serves']}, the ledger at {after['version']}")
    mine = [move for move in after["moves"] if move[0] > before["head"]]
    # said without the replay: of the entries that name the generation all were judged against, the first one wins
    first = next((move for move in mine if move[1] == before["generation"]), None)
    if first is None:
        if outcomes["moved"] or after["serves"] != before["serves"]:
            wrong.append("something moved without an entry")
    else:
        if after["serves"] != first[2] or [move[0] for move in mine if move[3] == "counts"] != [first[0]]:
            wrong.append(f"entry {first} was first, and {after['serves']} serves; moves {mine}")
        if after["production"] != [first[2]]:
            wrong.append(f"in production: {after['production']}")
        if any(answer["version"] != first[2] for answer in answers if answer["outcome"] == "moved"):
            wrong.append("a loser says that it moved the alias")
    if outcomes["moved"] > 1 or outcomes["already_there"]:
        wrong.append(f"outcomes: {outcomes}")
    if set(after["kinds"]) - {"promotion", "refusal"}:
        wrong.append(f"entries: {after['kinds']}")
    said = {
        "killed": sum(end == signal.SIGKILL for end in ends.values()),
        "outcomes": dict(outcomes),
        "deeds": len(after["deeds"]),
        "reconcile_s": round(after["took"], 2),
        "median_promote_s": round(statistics.median([answer["took"] for answer in answers] or [0.0]), 2),
        "slowest_promote_s": round(max((answer["took"] for answer in answers), default=0.0), 2),
        "fates": after["fates"],
        "wrong": wrong,
    }
    after["head"] = max((row[0] for row in after["moves"]), default=0)
    (folder.parent / "last.json").write_text(json.dumps(after))
    return said, wrong


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gates", type=int, default=32)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--server")
    asked = parser.parse_args()

    import mlflow.tracking._tracking_service.utils  # noqa: F401 - imported once; every gate is a fork

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running
    chance = random.Random(asked.seed)
    root = Path(tempfile.mkdtemp(prefix="ledger-storm-"))
    root.chmod(0o755)
    bad = 0
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        server = asked.server
        if server is None:
            uri = f"sqlite:///{root / 'mlflow.db'}"
            if asked.database == "postgres":
                uri = stack.enter_context(postgres(root))
            server = stack.enter_context(mlflow_server(root, uri, python_path=os.environ.get("PYTHONPATH", "")))
        assert waited(forked(lambda: prepared(server, asked.gates + 1), root / "prepared")) == 0
        (root / "last.json").write_text(json.dumps({"serves": "1", "generation": 0, "head": 0}))
        killed, longest = 0, 5.0
        for number in range(asked.rounds):
            said, wrong = one_round(server, root / str(number), asked.gates, asked.kills, chance, longest)
            longest = max(0.2, said["median_promote_s"] * 1.2)
            killed += said["killed"]
            bad += bool(wrong)
            print(json.dumps({"round": number, **said}), flush=True)
        print(json.dumps({"rounds": asked.rounds, "killed": killed, "rounds_with_violations": bad}), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
