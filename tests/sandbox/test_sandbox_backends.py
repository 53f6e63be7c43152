"""What a sandbox does for the program in it, and how its end is told."""

from __future__ import annotations

import os
import shutil
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from engine import IMAGE, NO_ENGINE

from finetune_gate.gate.sandbox.backends.bubblewrap import Bubblewrap
from finetune_gate.gate.sandbox.backends.containers import Containers
from finetune_gate.gate.sandbox.backends.interpreters import interpreter_for
from finetune_gate.gate.sandbox.protocol import Backend, Cell, CellError, Limits

SMALL = Limits(
    memory_bytes=128 << 20, disk_bytes=1 << 20, processes=16, open_files=32, cpu_seconds=20, message_bytes=4096
)
LONG = 20.0

CHANNEL = r"""
import os, sys
def take():
    def exactly(count):
        parts = b""
        while len(parts) < count:
            part = os.read(0, count - len(parts))
            if not part:
                os._exit(0)
            parts += part
        return parts
    return exactly(int.from_bytes(exactly(4), "big"))
def say(thing):
    text = thing if isinstance(thing, bytes) else repr(thing).encode()
    text = len(text).to_bytes(4, "big") + text
    while text:
        text = text[os.write(1, text):]
"""

BACKENDS = [
    pytest.param(
        Bubblewrap(),
        id="bwrap",
        marks=pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
    )
]
if NO_ENGINE is None:
    BACKENDS.append(pytest.param(Containers(IMAGE), id="docker"))
each_backend = pytest.mark.parametrize("backend", BACKENDS)


def soon(seconds: float = LONG) -> float:
    return time.monotonic() + seconds


def started(backend: Backend, program: str, limits: Limits = SMALL) -> Cell:
    return backend.start(CHANNEL + program, limits)


def said(backend: Backend, program: str, limits: Limits = SMALL) -> object:
    with started(backend, program, limits) as cell:
        return eval(cell.receive(soon()).decode())  # noqa: S307  # these programs are our own


@each_backend
def test_messages_go_both_ways(backend: Backend) -> None:
    with started(backend, "while True: say(take()[::-1])") as cell:
        for message in (b"abc", b"", bytes(range(256)) * 16):
            cell.send(message, soon())
            assert cell.receive(soon()) == message[::-1]
        assert cell.close() == "running"
        assert cell.close() == "running"


@each_backend
def test_sets_are_in_the_same_order_every_time(backend: Backend) -> None:
    program = "say(list({str(number) for number in range(50)}))"
    assert said(backend, program) == said(backend, program)


@each_backend
def test_what_a_program_finds(backend: Backend) -> None:
    names, user, folder, argv, name, path, descriptors = said(
        backend,
        "def open_ones():\n"
        "    found = []\n"
        "    for descriptor in range(32):\n"
        "        try: os.fstat(descriptor)\n"
        "        except OSError: continue\n"
        "        found.append(descriptor)\n"
        "    return found\n"
        "say((sorted(os.environ), os.getuid(), os.getcwd(), sys.argv, __name__,"
        " [p for p in sys.path if 'packages' in p], open_ones()))",
    )  # pyright: ignore[reportGeneralTypeIssues]
    known = {"HOME", "HOSTNAME", "LC_CTYPE", "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "PATH", "PWD", "PYTHONHASHSEED"}
    assert not set(names) - known
    assert (user, folder, argv, name, path) == (65534, "/tmp", ["-c"], "__main__", [])
    assert descriptors == [0, 1, 2]


@each_backend
def test_the_program_gets_a_fresh_module_of_its_own(backend: Backend) -> None:
    assert said(backend, "say([n for n in globals() if n.startswith('_') and not n.startswith('__')])") == []


@each_backend
def test_the_usual_things_work(backend: Backend) -> None:
    program = """
import asyncio, concurrent.futures, dataclasses, hashlib, random, subprocess, tempfile
async def later():
    await asyncio.sleep(0.01)
    return 1
@dataclasses.dataclass
class Point:
    x: int
def deep(n): return 0 if n == 0 else 1 + deep(n - 1)
sys.setrecursionlimit(20000)
found = [asyncio.run(later()), Point(2).x, deep(5000), len(hashlib.sha256(b"").hexdigest())]
with tempfile.TemporaryFile() as file:
    found.append(file.write(b"x" * 1000))
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    found.append(sum(pool.map(int, "1234")))
found.append(subprocess.run([sys.executable, "-I", "-c", "print(6)"], capture_output=True).stdout)
random.seed(1)
found.append(random.random())
say(found)
"""
    import random

    assert said(backend, program) == [1, 2, 5000, 64, 1000, 10, b"6\n", random.Random(1).random()]


@each_backend
def test_processes_of_the_standard_library_work(backend: Backend) -> None:
    program = """
import multiprocessing
def work(put): put.send(7)
get, put = multiprocessing.get_context("fork").Pipe(duplex=False)
process = multiprocessing.get_context("fork").Process(target=work, args=(put,))
process.start()
found = get.recv()
process.join()
say(found)
"""
    assert said(backend, program) == 7


@each_backend
@pytest.mark.parametrize(
    ("program", "ending"),
    [
        ("", "exited"),
        ("os._exit(3)", "exited"),
        ("raise SystemExit('no')", "exited"),
        ("this is no program", "exited"),
        ("os.kill(os.getpid(), 9)", "killed"),
        ("import ctypes; ctypes.string_at(0)", "killed"),
        ("import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass", "killed"),
    ],
    ids=["ends", "status", "exception", "syntax", "kills_itself", "crash", "processor_time"],
)
def test_how_a_process_ended_by_itself_is_told(backend: Backend, program: str, ending: str) -> None:
    with started(backend, program) as cell:
        with pytest.raises(CellError) as error:
            cell.receive(soon())
        assert error.value.kind == "closed"
        assert cell.close() == ending


@each_backend
def test_memory_that_many_processes_hold_together_is_too_much(backend: Backend) -> None:
    program = """
import time
held = []
for _ in range(6):
    if os.fork() == 0:
        held.append(b"x" * (64 << 20))
        time.sleep(60)
os.wait()
while True: os.wait()
"""
    with started(backend, program) as cell:
        with pytest.raises(CellError):
            cell.receive(soon(5.0))
        # An engine's control group ends as many processes as it must, and leaves the others.
        assert cell.close() == ("out_of_memory" if backend.name == "bwrap" else "running")


@each_backend
def test_one_process_is_told_that_there_is_no_more_memory(backend: Backend) -> None:
    program = """
try:
    found = len(bytearray(1 << 30))
except MemoryError:
    found = "no more"
say(found)
"""
    assert said(backend, program) == "no more"


@each_backend
def test_waiting_has_an_end(backend: Backend) -> None:
    with started(backend, "import time; time.sleep(60)") as cell:
        with pytest.raises(CellError) as error:
            cell.receive(soon(0.2))
        assert error.value.kind == "deadline"
        assert cell.close() == "running"


@each_backend
def test_sending_to_what_does_not_read_has_an_end(backend: Backend) -> None:
    with started(backend, "import time; time.sleep(60)") as cell:
        with pytest.raises(CellError) as error:
            cell.send(b"x" * (1 << 20), soon(0.2))
        assert error.value.kind == "deadline"


@each_backend
@pytest.mark.parametrize(
    "program",
    [
        "say(b'x' * 5000)",
        "os.write(1, b'\\xff' * 4)",
        "\nwhile True: os.write(1, b'\\xff' * 4096)",
        "\nwhile True: os.write(1, b'flood')",
    ],
    ids=["message", "length", "flood_of_bytes", "flood_of_text"],
)
def test_a_message_longer_than_allowed_is_not_read(backend: Backend, program: str) -> None:
    with started(backend, program) as cell:
        with pytest.raises(CellError) as error:
            cell.receive(soon())
        assert error.value.kind == "too_long"


@each_backend
def test_a_flood_of_messages_waits_in_the_pipe(backend: Backend) -> None:
    with started(backend, "\nwhile True: say(b'x' * 1000)") as cell:
        for _ in range(50):
            assert cell.receive(soon()) == b"x" * 1000


@each_backend
def test_a_message_cut_short_is_none(backend: Backend) -> None:
    with started(backend, "os.write(1, (100).to_bytes(4, 'big') + b'half')") as cell:
        with pytest.raises(CellError) as error:
            cell.receive(soon())
        assert error.value.kind == "closed"


@each_backend
def test_a_grandchild_that_holds_the_channel_goes_with_the_rest(backend: Backend) -> None:
    program = """
import time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(3600)
    os._exit(0)
say("left")
os._exit(0)
"""
    with started(backend, program) as cell:
        assert cell.receive(soon()) == b"'left'"
        cell.close()
        with pytest.raises(CellError) as error:
            cell.receive(soon())
        assert error.value.kind == "closed"


@each_backend
def test_signals_that_are_ignored_do_not_keep_it_alive(backend: Backend) -> None:
    program = """
import signal, time
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
say("deaf")
while True: time.sleep(60)
"""
    with started(backend, program) as cell:
        assert cell.receive(soon()) == b"'deaf'"
        assert cell.close() == "running"


@each_backend
def test_sandboxes_do_not_see_each_other(backend: Backend) -> None:
    leave = "open('left', 'w').write('x'); say(sorted(os.listdir('.'))); take()"
    with started(backend, leave) as first, started(backend, leave) as second:
        assert first.receive(soon()) == b"['left']"
        assert second.receive(soon()) == b"['left']"


@each_backend
def test_several_run_at_once(backend: Backend) -> None:
    with ThreadPoolExecutor(3) as pool:
        found = pool.map(lambda number: said(backend, f"say({number} ** 2)"), range(6))
        assert list(found) == [0, 1, 4, 9, 16, 25]


@each_backend
def test_no_descriptor_and_no_process_is_left(backend: Backend) -> None:
    said(backend, "say(1)")
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        said(backend, "say(1)")
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_bubblewrap_that_cannot_do_it_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    broken.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == Path("/").owner() and not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match="bubblewrap: bwrap: setting up uid map: Permission denied"):
        Bubblewrap().start("", SMALL)


def test_bubblewrap_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert Bubblewrap().missing() == "the program bwrap is not installed"
    with pytest.raises(OSError, match="not installed"):
        Bubblewrap().start("", SMALL)


def test_a_machine_without_a_filter_has_no_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert "riscv64" in str(Bubblewrap().missing())


def test_a_sandbox_is_given_an_interpreter_and_no_more() -> None:
    found = interpreter_for(unprivileged=False)
    assert found is not None
    sources = [b for a, b in zip(found.binds(), found.binds()[1:], strict=False) if a == "--ro-bind"]
    assert sources
    for source in map(Path, sources):
        assert source in {found.program, found.library, found.prefix / "lib"} or source.name in {
            "lib",
            "lib32",
            "lib64",
        }
