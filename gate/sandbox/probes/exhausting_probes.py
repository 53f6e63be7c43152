"""Ways to use up the machine. Run inside, by ``probing``, in a sandbox of its own that may be ended for it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

from .probing import NOT_TOLD, outside, probe

_MIB = 1 << 20
_PATIENCE_SECONDS = 8


@probe
def processes() -> str | None:
    """Children that wait, until no more can be made."""
    most = int(outside["processes"])
    read, write = os.pipe()
    children: list[int] = []
    try:
        while len(children) <= 2 * most:
            child = os.fork()
            if child == 0:
                os.read(read, 1)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    finally:
        os.write(write, b"x" * len(children))
        for child in children:
            os.waitpid(child, 0)
        os.close(read)
        os.close(write)
    return f"{len(children)} processes were started" if len(children) > most else None


@probe
def threads() -> str | None:
    most = int(outside["processes"])
    enough = threading.Event()
    started: list[threading.Thread] = []
    threading.stack_size(_MIB)
    try:
        while len(started) <= 2 * most:
            thread = threading.Thread(target=enough.wait, daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError:
        pass
    finally:
        enough.set()
        threading.stack_size(0)
    for thread in started:
        thread.join()
    return f"{len(started)} threads were started" if len(started) > most else None


@probe
def disk() -> str | None:
    """Files in every folder that can be written to, until no more fits."""
    most = int(outside["disk"])
    piece = b"x" * _MIB
    written: list[str] = []
    try:
        for folder in (".", "/tmp", "/dev/shm", "/dev", "/", "/var/tmp", "/run", "/run/lock", "/dev/mqueue", "/home"):
            try:
                for _ in range(2 * most // _MIB):
                    path = os.path.join(folder, f"probe{os.getpid()}_{len(written)}")
                    with open(path, "wb") as file:
                        written.append(path)
                        file.write(piece)
            except OSError:
                continue
        total = sum(os.path.getsize(path) for path in written)
    finally:
        for path in written:
            os.unlink(path)
    return f"{total >> 20} MiB were written" if total > most else None


@probe
def one_large_file() -> str | None:
    most = int(outside["disk"])
    path = f"large{os.getpid()}"
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with open(path, "wb") as file:
            for _ in range(2 * most // _MIB):
                file.write(b"x" * _MIB)
            size = file.tell()
    finally:
        os.unlink(path)
    return f"a file of {size >> 20} MiB was written" if size > most else None


@probe
def descriptors() -> str | None:
    most = int(outside["files"])
    opened: list[int] = []
    try:
        while len(opened) <= 2 * most:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return f"{len(opened)} files were open" if len(opened) > most else None


@probe
def memory() -> str | None:
    most = int(outside["memory"])
    held: list[bytearray] = []
    try:
        while sum(map(len, held)) <= most:
            piece = bytearray(8 * _MIB)
            piece[::4096] = b"x" * len(piece[::4096])
            held.append(piece)
    except MemoryError:
        pass
    size = sum(map(len, held))
    held.clear()
    return f"{size >> 20} MiB were held by one process" if size > most else None


@probe
def memory_of_many() -> str | None:
    """Four processes that each keep below the limit. The sandbox may be ended for it, and then gives no answer."""
    most = int(outside["memory"])
    share = most // 2
    read, write = os.pipe()
    children: list[int] = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            try:
                held = bytearray(share)
                held[::4096] = b"x" * len(held[::4096])
                os.write(write, b"x")
                time.sleep(10)
            finally:
                os._exit(0)
        children.append(child)
    os.set_blocking(read, False)
    holding, ended, until = 0, set[int](), time.monotonic() + _PATIENCE_SECONDS
    while holding + len(ended) < len(children) and time.monotonic() < until:
        time.sleep(0.02)
        ended |= {child for child in children if child not in ended and os.waitpid(child, os.WNOHANG)[0]}
        with contextlib.suppress(BlockingIOError):
            holding += len(os.read(read, len(children)))
    told = holding + len(ended) >= len(children)
    time.sleep(0.2)  # what watches from the outside looks every now and then
    alive = 0
    for child in children:
        if child not in ended and os.waitpid(child, os.WNOHANG)[0] == 0:
            alive += 1
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    os.close(read)
    os.close(write)
    if not told:
        return NOT_TOLD
    return f"{holding} processes held {share >> 20} MiB each" if min(alive, holding) * share > 1.25 * most else None


@probe
def many_small_files() -> str | None:
    """Each takes memory of the kernel that no limit of sizes counts. The sandbox may be ended for it."""
    path = f"small{os.getpid()}"
    most = 20_000
    os.mkdir(path)
    for number in range(most):
        os.close(os.open(f"{path}/{number}", os.O_CREAT | os.O_WRONLY))
    time.sleep(0.2)  # what watches from the outside looks every now and then
    return f"{most} files were made"
