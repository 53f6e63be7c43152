"""PostgreSQL of this machine, made ready as its image makes itself ready: a data folder, a password, a first script.

command = prepared(folder, log, password=password, arguments=["--auth-host=scram-sha-256"], script=script, port=5432)

Run by root, PostgreSQL runs as user ``postgres``, since it refuses to run as root. That user must be able to enter the
folders above the data folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

_DEBIAN = "usr/lib/postgresql/*/bin"
_WITHIN_S = 120.0


def user() -> str | None:
    return "postgres" if os.getuid() == 0 else None


def programs() -> list[str]:
    """Debian's folders of PostgreSQL, newest first: they are not on the path there."""
    found = [one for one in Path("/").glob(_DEBIAN) if (one / "initdb").exists()]
    return [str(one) for one in sorted(found, key=lambda one: float(one.parent.name), reverse=True)]


def program(name: str) -> str:
    """Raises RuntimeError."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *programs()]))
    if found is None:
        raise RuntimeError(f"{name} is not on this machine: install PostgreSQL (on Debian: apt-get install postgresql)")
    return found


def prepared(folder: Path, log: Path, *, password: str, arguments: Sequence[str], script: Path, port: int) -> list[str]:
    """The command that serves ``folder`` at 127.0.0.1. A new one is filled first, and ``script`` run against a server
    that listens at a socket only. Raises RuntimeError with what was said."""
    serve = [program("postgres"), "-D", str(folder), "-h", "127.0.0.1", "-p", str(port), "-k", ""]
    if (folder / "PG_VERSION").exists():
        return serve
    # under its own name once it is complete: one that was left half made is made again
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    # short, since the path of a socket may have 107 bytes
    with tempfile.TemporaryDirectory() as sockets, log.open("ab") as output:
        secret = Path(sockets) / "password"
        secret.write_text(password, encoding="utf-8")
        if (owner := user()) is not None:
            for one in (new, Path(sockets), secret):
                shutil.chown(one, owner)
        initdb = [program("initdb"), "-D", str(new), "-U", "postgres", f"--pwfile={secret}", *arguments]
        _run([*initdb, "--auth-local=trust", "--no-sync"], output, log, as_user=user())
        pg_ctl = [program("pg_ctl"), "-D", str(new), "-w", "-t", "60"]
        listen = f"-c listen_addresses='' -k {sockets}"
        _run([*pg_ctl, "-o", listen, "-l", f"{sockets}/log", "start"], output, log, as_user=user())
        try:
            path = os.pathsep.join([str(Path(program("psql")).parent), os.environ.get("PATH", os.defpath)])
            environment = {"PATH": path, "PGHOST": sockets, "POSTGRES_USER": "postgres"}
            _run(["sh", str(script)], output, log, environment=environment)
        finally:
            _run([*pg_ctl, "-m", "fast", "stop"], output, log, as_user=user())
    new.rename(folder)
    return serve


def _run(
    command: list[str],
    output: IO[bytes],
    log: Path,
    *,
    as_user: str | None = None,
    environment: dict[str, str] | None = None,
) -> None:
    done = subprocess.run(
        command, user=as_user, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        timeout=_WITHIN_S, check=False,
    )  # fmt: skip
    if done.returncode:
        said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise RuntimeError(f"{Path(command[0]).name} ended with status {done.returncode}\n{said}")
