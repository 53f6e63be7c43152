"""A pyfunc that does what its input says: the tests' stand-in for whatever people log. Imports nothing of the gate."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any


def _load_pyfunc(path: str) -> Any:
    plot = json.loads((pathlib.Path(path) / "plot.json").read_text())
    if "notes" in plot:
        note(plot["notes"])
    act(plot.get("at_load", "nothing"))
    return Actor(plot)


class Actor:
    def __init__(self, plot: dict[str, Any]) -> None:
        self.plot = plot

    def predict(self, table: Any, params: Any = None) -> Any:
        texts = list(table[self.plot.get("column", "text")])
        if "whole" in self.plot:
            return {"none": None, "fewer": texts[1:]}[self.plot["whole"]]
        return [act(text) for text in texts]


def act(text: str) -> Any:
    what, _, rest = text.partition(" ")
    if what == "raise":
        raise ValueError(rest or "no\x1b[31m http://user:hunter2@host/")
    if what == "missing":
        raise ModuleNotFoundError(f"No module named '{rest}.sub'", name=f"{rest}.sub")
    if what == "hang":
        time.sleep(600)
    while what == "babble":
        print("blah " * 1000)
    if what == "exit":
        sys.stderr.write("about to\x1b[31m leave\nhttp://user:hunter2@host/\n")
        sys.stderr.flush()
        os._exit(int(rest))
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "print":
        print("x" * 200_000)
        os.write(1, b"\x00\x00\x00\x02{}")
        subprocess.run(["/bin/echo", "hello"], check=True)
    if what == "shout":
        for descriptor in range(3, 40):
            with contextlib.suppress(OSError):
                os.write(descriptor, bytes.fromhex(rest))
        time.sleep(600)
    if what == "environment":
        return json.dumps(dict(os.environ) | {"cwd": os.getcwd(), "argv": " ".join(sys.argv)})
    return {"dict": {"a": 1}, "nan": float("nan"), "true": True, "seven": 7, "half": 0.5, "none": None}.get(
        what, "\ud800" if what == "surrogate" else "y" * int(rest) if what == "long" else text
    )


def note(path: str) -> None:
    """Process ids of this process and of one it started, and its folder, for the test to look after."""
    child = subprocess.Popen(["/bin/sleep", "600"])
    pathlib.Path(path).write_text(json.dumps([os.getpid(), child.pid, os.getcwd()]))
