"""Start what compose.yaml declares without an engine: the same services, from the packages of one machine.

    python installation.py FOLDER                  # until interrupted; then everything is stopped
    python installation.py FOLDER --run demo       # runs this one too, and stops everything after it

    with installation(Path("try")) as here:
        here.run("demo")
        here.stop("receiver")

Commands, settings, secrets and health checks are compose.yaml's; `local_places` says what is put in another's place.
PostgreSQL is this machine's (on the path, or Debian's), and what the project's image holds is what is installed beside
this Python, with psycopg2 for MLflow. The object store is left out, and MLflow keeps artifacts in a folder, unless one
that runs is given. Users, limits, networks and read-only roots are an engine's: they are not here.

Everything that was started is ended by its own id, with its process group, whatever happens. Logs: FOLDER/logs.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import local_postgres
from compose_services import Service, read_services
from local_places import STATE, Places, free_ports

DOCKER = Path(__file__).resolve().parents[1]
COMPOSE = DOCKER / "compose.yaml"
OBJECT_STORE, BUCKET = "object-store", "bucket"
HEALTHY_WITHIN_S = 300.0
ENDS_WITHIN_S = 900.0

# what the image sets, as far as it has to do with one machine
_IMAGE = {
    "HOME": f"{STATE}/home",
    "FINETUNE_GATE_HOME": f"{STATE}/answers",
    "PREFECT_HOME": f"{STATE}/prefect",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    "PYTHONUNBUFFERED": "1",
}
_PASSED_ON = ("LANG", "OMP_NUM_THREADS", "PYTHONPATH")


class Stopped(Exception):
    """Somebody wants it to end."""


@dataclass(frozen=True)
class Installation:
    """``left_out``: services that are not started, and why. ``stopping``: once set, every wait ends with `Stopped`."""

    folder: Path
    services: Mapping[str, Service]
    places: Places
    left_out: Mapping[str, str]
    stopping: threading.Event
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict[str, "subprocess.Popen[bytes]"])

    def address(self, name: str) -> str:
        """HOST:PORT of a service with one port."""
        (port,) = self.services[name].ports
        return f"127.0.0.1:{self.places.ports[name, port]}"

    def secret(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text(encoding="utf-8").strip()

    def log(self, name: str) -> str:
        return self._log(name).read_text(encoding="utf-8", errors="replace")

    def start(self, name: str) -> None:
        """Start it and wait until it is healthy. Raises RuntimeError with the end of its log."""
        service = self.services[name]
        self.processes[name] = self._begun(service, self._command(service))
        self._wait_until_healthy(service)

    def run(self, name: str, *arguments: str, within_s: float = ENDS_WITHIN_S) -> int:
        """The exit status of a service that ends; ``arguments`` come after its own. Raises RuntimeError if it does not
        end in time."""
        process = self._begun(self.services[name], [*self._command(self.services[name]), *arguments])
        until = time.monotonic() + within_s
        try:
            while (status := process.poll()) is None:
                if time.monotonic() >= until:
                    raise RuntimeError(f"{name} has not ended within {within_s:g} s{self._end_of_log(name)}")
                self._pause()
            return status
        finally:
            _end_group(process)

    def stop(self, name: str) -> None:
        """As an engine does: a signal, the time that the service is given, SIGKILL to all that is left of it."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(self.services[name].stop_s)
        _end_group(process)

    def healthy(self, name: str) -> bool:
        """Whether the service's health check succeeds now."""
        service = self.services[name]
        if service.health is None:
            return self.processes[name].poll() is None
        command = self.places.said(service, service.health.command)
        if command[0] == "healthy":
            command[:1] = [sys.executable, str(DOCKER / "healthy.py")]
        environment = self._environment(service)
        command[0] = _found(command[0], environment)
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, timeout=service.health.timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def _command(self, service: Service) -> list[str]:
        said = self.places.said(service, service.command)
        if service.ours:
            return ["sh", str(DOCKER / "start.sh"), *said]
        if service.name != "postgres":
            raise RuntimeError(f"{service.name}: nothing on this machine stands for {service.image}")
        environment = self._environment(service)
        (script,) = [path for path in service.mounts if path.startswith("/docker-entrypoint-initdb.d/")]
        return local_postgres.prepared(
            self.folder / "volumes" / "postgres",
            self._log("postgres-first-start"),
            password=Path(environment["POSTGRES_PASSWORD_FILE"]).read_text(encoding="utf-8").strip(),
            arguments=environment["POSTGRES_INITDB_ARGS"].split(),
            script=self._with_own_secrets(service, script),
            port=self.places.ports["postgres", service.ports[0]],
        )

    def _with_own_secrets(self, service: Service, script: str) -> Path:
        """A copy of a mounted script that reads the secrets where they are here."""
        text = self.places.of(service, script).read_text(encoding="utf-8")
        copy = self.folder / "scratch" / Path(script).name
        copy.write_text(text.replace("/run/secrets/", f"{self.folder}/secrets/"), encoding="utf-8")
        return copy

    def _begun(self, service: Service, command: list[str]) -> subprocess.Popen[bytes]:
        folder = self.places.of(service, service.working_dir or STATE) if service.ours else Path("/")
        with self._log(service.name).open("ab") as output:
            return subprocess.Popen(
                command, env=self._environment(service), cwd=folder, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True, user=None if service.ours else local_postgres.user(),
            )  # fmt: skip

    def _environment(self, service: Service) -> dict[str, str]:
        """The service's and the image's, and of this process nothing but where programs are."""
        stated = {**(_IMAGE if service.ours else {}), **service.environment}
        values = self.places.said(service, stated.values())
        path = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), *local_postgres.programs()]
        return {
            **{key: os.environ[key] for key in _PASSED_ON if key in os.environ},
            "PATH": os.pathsep.join(path),
            "TMPDIR": str(self.places.of(service, "/tmp")),
            **dict(zip(stated, values, strict=True)),
        }

    def _wait_until_healthy(self, service: Service) -> None:
        process, until = self.processes[service.name], time.monotonic() + HEALTHY_WITHIN_S
        while not self.healthy(service.name):
            if process.poll() is not None:
                raise RuntimeError(f"{service.name} ended ({process.returncode}){self._end_of_log(service.name)}")
            if time.monotonic() >= until:
                raise RuntimeError(f"{service.name} is not healthy{self._end_of_log(service.name)}")
            self._pause()

    def _pause(self) -> None:
        if self.stopping.wait(0.3):
            raise Stopped

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _end_of_log(self, name: str) -> str:
        return f"; its log ends:\n{self.log(name)[-4000:]}"


@contextmanager
def installation(
    folder: Path,
    *,
    object_store: str | None = None,
    settings: Mapping[str, str] | None = None,
    stopping: threading.Event | None = None,
) -> Generator[Installation]:
    """Everything that `docker compose up` starts, healthy. ``folder`` may be one of before. ``object_store``: HOST:PORT
    of one that runs, and knows the identity in FOLDER/secrets. ``settings``: variables of compose.yaml.

    Raises RuntimeError where a service does not come up, Stopped once ``stopping`` is set.
    """
    folder = folder.resolve()
    for part in ("logs", "scratch", "volumes"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    secrets = folder / "secrets"
    subprocess.run([DOCKER / "make_secrets.sh", secrets], check=True, capture_output=True, timeout=60)
    services = read_services(COMPOSE, {"FINETUNE_GATE_SECRETS": str(secrets), **(settings or {})})
    left_out = {name: f"of profile {', '.join(one.profiles)}" for name, one in services.items() if one.profiles}
    if object_store is None:
        left_out |= dict.fromkeys((OBJECT_STORE, BUCKET), "no object store here: artifacts are kept in a folder")
    else:
        left_out[OBJECT_STORE] = f"the one at {object_store} is used"
    inside = [(name, port) for name, one in services.items() for port in one.ports]
    ports = dict(zip(inside, free_ports(len(inside)), strict=True))
    if object_store is not None:
        ports[OBJECT_STORE, services[OBJECT_STORE].ports[0]] = int(object_store.rpartition(":")[2])
    artifacts = folder / "volumes" / "artifacts" if object_store is None else None
    here = Installation(
        folder, services, Places(folder, DOCKER, ports, artifacts), left_out, stopping or threading.Event()
    )
    try:
        for name in in_order(services):
            if name in left_out:
                continue
            if not services[name].ends:
                here.start(name)
            elif status := here.run(name):
                raise RuntimeError(f"{name} ended with status {status}\n{here.log(name)[-4000:]}")
        yield here
    finally:
        with ExitStack() as ends:  # one that does not obey keeps no other from being stopped
            for name in here.processes:
                ends.callback(here.stop, name)


def in_order(services: Mapping[str, Service]) -> list[str]:
    """Each after what it needs. Raises ValueError where some need each other."""
    order: list[str] = []
    while len(order) < len(services):
        ready = [name for name, one in services.items() if name not in order and set(one.needs) <= set(order)]
        if not ready:
            raise ValueError(f"{', '.join(sorted(set(services) - set(order)))} wait for one another")
        order += ready
    return order


def _found(program: str, environment: Mapping[str, str]) -> str:
    """With its path: what is searched by name alone is searched on this process's own path."""
    folders = [Path(folder) for folder in environment["PATH"].split(os.pathsep)]
    return next((str(one / program) for one in folders if (one / program).exists()), program)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


def main() -> int:
    parser = argparse.ArgumentParser(description="Start the services of compose.yaml from packages, without an engine.")
    parser.add_argument("folder", type=Path, help="where data, secrets and logs are kept")
    parser.add_argument("--run", metavar="SERVICE", help="run this one too, and stop everything after it")
    parser.add_argument("--object-store", metavar="HOST:PORT", help="an S3 server that knows FOLDER's identity")
    asked = parser.parse_args()
    # an event and no exception, which could come between a start and the note of what was started
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stopping.set())
    try:
        with installation(asked.folder, object_store=asked.object_store, stopping=stopping) as here:
            for name, why in here.left_out.items():
                sys.stdout.write(f"{name}: not started: {why}\n")
            sys.stdout.write(f"MLflow   http://{here.address('mlflow')}\nPrefect  http://{here.address('prefect')}\n")
            sys.stdout.flush()
            if asked.run:
                status = here.run(asked.run)
                sys.stdout.write(here.log(asked.run))
                return status
            stopping.wait()
    except Stopped:
        pass
    sys.stdout.write("stopped\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
