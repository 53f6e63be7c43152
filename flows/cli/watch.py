"""``finetune-gate watch``: gate what asks for it in the registry, again and again."""

from __future__ import annotations

import json
import signal
import threading
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import click

from finetune_gate.evaluators.errors import Problem

from .options import Command, tracking_uri_option
from .output import EXIT, print_problems
from .run import actor

if TYPE_CHECKING:
    from finetune_gate.flows.relays import GateEnded, RelayName, Watch, WatchSettings
    from finetune_gate.gate.watching import Looked, Report

_HEARTBEAT_S: Final = 600.0
_POLL_S: Final = 3600.0
_DECIDED: Final = (0, 1, 3)


def watching_options(command: Command) -> Command:
    """What every command that looks at the registry takes; `watch_settings` makes settings of it."""
    for option in reversed(
        (
            click.argument(
                "gate_files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="GATE_FILE..."
            ),
            click.option(
                "--relay",
                type=click.Choice(["here", "prefect", "github"]),
                default="here",
                show_default=True,
                help="Who runs gates: a process here, a Prefect deployment, or a GitHub workflow.",
            ),
            click.option(
                "--at-once",
                type=click.IntRange(1, 64),
                default=1,
                show_default=True,
                help="Most gates at once, with --relay here.",
            ),
            click.option(
                "--hours",
                type=click.FloatRange(0, 24 * 14, min_open=True),
                default=6.0,
                show_default=True,
                help="Longest that one gate may take, with --relay here.",
            ),
            tracking_uri_option,
            click.option(
                "--out",
                type=click.Path(path_type=Path),
                default=".finetune-gate",
                show_default=True,
                help="Folder for records and reports, with --relay here.",
            ),
        )
    ):
        command = option(command)
    return command


def watch_settings(
    gate_files: tuple[Path, ...],
    relay: str,
    at_once: int,
    hours: float,
    tracking_uri: str | None,
    out: Path,
    *,
    trigger: str,
) -> WatchSettings:
    """Of the `watching_options`. ``trigger``: what runs say made them: ``watch``, ``webhook``."""
    from finetune_gate.flows.relays import WatchSettings

    return WatchSettings(gate_files, cast("RelayName", relay), at_once, hours, tracking_uri, out, actor(), trigger)


class WatchLines:
    """Tells what watching brings: for people a line when something happens, for machines a JSON line for each look and
    each gate that was run here. May be told from several threads. ``everything``: also what was only seen."""

    def __init__(self, *, as_json: bool, everything: bool = False) -> None:
        self._as_json, self._everything = as_json, everything
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str, str], Looked] = {}
        self._problems: tuple[Problem, ...] = ()
        self._last = time.monotonic()
        self.undecided = 0
        """How many gates that were run here have come to no decision."""

    def report(self, report: Report) -> None:
        from finetune_gate.gate.watching import NEWS

        with self._lock:
            if self._as_json:
                self._say({**report.to_json(), "exit_status": status_of(report)})
                return
            for one in report.looked:
                key = (one.gate_file, one.model, one.version)
                news = one.did in NEWS and self._seen.get(key) != one
                self._seen[key] = one
                if news or self._everything:
                    self._say(_line(one))
            print_problems([one for one in report.problems if one not in self._problems], as_json=False)
            if self._problems and not report.problems:
                self._say("everything can be looked at again")
            self._problems = report.problems
            if self._everything and not report.looked and not report.problems:
                self._say(f"{len(report.models)} model(s) looked at: nothing asks to be gated")

    def gate(self, gate: GateEnded) -> None:
        from finetune_gate.gate.clock import now_iso
        from finetune_gate.gate.reports.inert import inert_text

        with self._lock:
            self.undecided += gate.status not in _DECIDED
            if self._as_json:
                self._say({"at": now_iso(), "gate": asdict(gate)})
                return
            name = f"{inert_text(gate.model)} v{inert_text(gate.version)}"
            for line in gate.lines:
                self._say(f"{name}: {inert_text(line)}")
            self._say(f"{name}: {inert_text(gate.sentence)}")

    def heartbeat(self, report: Report, under_way: int) -> None:
        """A line that it goes on, where none was told for ten minutes."""
        with self._lock:
            if not self._as_json and time.monotonic() - self._last >= _HEARTBEAT_S:
                self._say(
                    f"watching {len(report.models)} model(s), last looked at {report.at}; {under_way} gate(s) here"
                )

    def _say(self, what: str | dict[str, object]) -> None:
        from finetune_gate.gate.clock import now_iso

        self._last = time.monotonic()
        click.echo(f"{now_iso()}  {what}" if isinstance(what, str) else json.dumps(what, allow_nan=False))


def status_of(report: Report) -> int:
    """0, or 4 where something could not be looked at, or nobody could be reached to gate it."""
    missed = report.problems or any(one.did == "not reached" for one in report.looked)
    return EXIT["could not evaluate"] if missed else 0


@click.command()
@watching_options
@click.option(
    "--every",
    type=click.FloatRange(1, 86_400),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@click.option("--once", is_flag=True, help="Look once; with --relay here, wait for the gates.")
@click.option(
    "--heartbeat",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Touch this file after every look, whatever came of it: for health checks.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON line for each look, and for each gate that was run here.")
def watch(
    gate_files: tuple[Path, ...],
    relay: str,
    at_once: int,
    hours: float,
    tracking_uri: str | None,
    out: Path,
    every: float,
    once: bool,
    heartbeat: Path | None,
    as_json: bool,
) -> None:
    """Look at the registry, again and again, and start a gate for every version that asks for one.

    Which versions ask is in each GATE_FILE under `triggers`. Each is gated once, however many watch. Gates that run
    here are stopped with the watcher, and go on at its next start.

    Exit status: 0, also when interrupted; 2 usage or configuration; with --once, 4 if something could not be looked at
    or gated.
    """
    from finetune_gate.flows.relays import open_watch

    settings = watch_settings(gate_files, relay, at_once, hours, tracking_uri, out, trigger="watch")
    lines = WatchLines(as_json=as_json, everything=once)
    with closing(open_watch(settings, ended=lines.gate)) as watching:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if once:
            raise click.exceptions.Exit(_once(watching, lines))
        try:
            _again_and_again(watching, lines, every, heartbeat)
        except KeyboardInterrupt:
            click.echo("stopping: gates that run here go on at the next start", err=True)


def _once(watching: Watch, lines: WatchLines) -> int:
    report = watching.look()
    lines.report(report)
    while not watching.wait(_POLL_S):
        pass  # each gate has a deadline of its own
    return status_of(report) or (EXIT["could not evaluate"] if lines.undecided else 0)


def _again_and_again(watching: Watch, lines: WatchLines, every: float, heartbeat: Path | None) -> None:
    """Until interrupted."""
    while True:
        begun = time.monotonic()
        report = watching.look()
        lines.report(report)
        if heartbeat is not None:
            heartbeat.touch()
        while (left := begun + every - time.monotonic()) > 0:
            time.sleep(min(left, _HEARTBEAT_S / 10))
            lines.heartbeat(report, watching.under_way)


def _line(one: Looked) -> str:
    from finetune_gate.gate.reports.inert import inert_text

    name = f"{one.model} v{one.version}" if one.version else one.model
    why = f" ({one.why})" if one.why else ""
    return inert_text(f"{name}{why}: {one.did}: {one.sentence}")
