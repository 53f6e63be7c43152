"""What a built image must do, done: started as its user on a read-only root, and looked at."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from root_image import RootImage

_SECONDS: Final = 900.0

_READ_ONLY: Final = """
import errno, os
assert os.getuid() == 10001 and os.getgid() == 10001, (os.getuid(), os.getgid())
assert os.getgroups() in ([], [10001]), os.getgroups()
for path in ("/", "/opt/finetune-gate", "/usr/local/bin", "/etc", "/srv/gates"):
    try:
        open(os.path.join(path, "written"), "w")
    except OSError as error:
        print(path, errno.errorcode[error.errno])
        assert error.errno == errno.EROFS
    else:
        raise AssertionError(path)
for path in ("/tmp", "/var/lib/finetune-gate"):
    open(os.path.join(path, "written"), "w").close()
    os.remove(os.path.join(path, "written"))
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
print("capabilities", status["CapEff"], status["CapBnd"], "no new privileges", status["NoNewPrivs"])
assert not int(status["CapEff"], 16) and not int(status["CapBnd"], 16) and status["NoNewPrivs"] == "1"
"""

_SANDBOX: Final = """
from finetune_gate.gate.sandbox.choosing import choose
chosen = choose("auto")
print(type(chosen).__name__, getattr(chosen, "reason", ""))
"""

_SERVED: Final = """
import os, subprocess, sys, time, urllib.request

def served(words, health):
    server = subprocess.Popen(words, stdout=sys.stderr)
    for _ in range(240):
        if subprocess.run(["healthy", health], capture_output=True).returncode == 0:
            return server
        time.sleep(0.5)
        if server.poll() is not None:
            break
    sys.exit(f"{words} did not start")
"""

_PREFECT_UI: Final = (
    _SERVED
    + """
server = served(["prefect", "server", "start", "--port", "14217"], "http://127.0.0.1:14217/api/health")
for path in ("/", "/dashboard"):
    asked = urllib.request.Request("http://127.0.0.1:14217" + path, headers={"Accept": "text/html"})
    with urllib.request.urlopen(asked) as page:
        print("UI:", page.url, page.status, page.headers["content-type"], len(page.read()), "bytes")
server.terminate()
server.wait(90)
"""
)

_DOCTOR_WITH_MLFLOW: Final = (
    _SERVED
    + """
os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
store = ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "artifacts"]
server = served(["mlflow", "server", "--workers", "1", "--port", "14218", *store], "http://127.0.0.1:14218/health")
status = subprocess.call(["finetune-gate", "doctor"], env=os.environ | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:14218"})
server.terminate()
server.wait(90)
sys.exit(status)
"""
)


@dataclass(frozen=True, slots=True)
class Trial:
    """``words`` as ``docker run IMAGE`` takes them; they must end with ``status`` and print every one of ``said``."""

    name: str
    words: Sequence[str]
    status: int = 0
    said: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    entrypoint: bool = True


TRIALS: Final = (
    Trial("version", ["--version"], said=["finetune-gate "]),
    # no MLflow is there to be found: the one fault that is right
    Trial("doctor, the image's own command", [], 2, ["there is no database", "1 fault"]),
    Trial("doctor beside MLflow's server", ["python", "-c", _DOCTOR_WITH_MLFLOW], said=["in order", "mlflow server"]),
    Trial("doctor without a state folder", [], 2, ["cannot be written to"], {"FINETUNE_GATE_HOME": "/srv/gates/x"}),
    Trial("read-only root, user, capabilities", ["python", "-c", _READ_ONLY], said=["/ EROFS", "no new privileges 1"]),
    Trial("check", ["check", "/srv/gates/classification/gate.yaml"]),
    Trial(
        "torch for CPUs", ["python", "-c", "import torch; print(torch.__version__, torch.version.cuda)"], said=["None"]
    ),
    Trial("bubblewrap is there", ["sh", "-c", "command -v bwrap && bwrap --version"], said=["/usr/bin/bwrap"]),
    Trial(
        "bubblewrap within",
        ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "--uid", "65534", "id", "-u"],
        said=["65534"],
        entrypoint=False,
    ),
    Trial("sandbox for code that models write", ["python", "-c", _SANDBOX], said=["Bubblewrap"]),
    Trial("health: state volume", ["sh", "-c", "healthy"]),
    Trial("health: nobody answers", ["healthy", "http://127.0.0.1:9/health"], 1, ["unhealthy"], entrypoint=False),
    Trial(
        "a secret that is not there", ["doctor"], 2, ["cannot be read"], {"OPENAI_API_KEY_FILE": "/run/secrets/none"}
    ),
    Trial(
        "a secret from a file",
        ["sh", "-c", "printenv HF_TOKEN; printenv HF_TOKEN_FILE || echo gone"],
        said=["secret words", "gone"],
        environment={"HF_TOKEN_FILE": "/srv/gates/.secret"},
    ),
    Trial(
        "Prefect's server and UI",
        ["python", "-c", _PREFECT_UI],
        said=["/v2/ 200 text/html", "/dashboard 200 text/html"],
    ),
)
DEMO: Final = Trial("demo", ["demo"], said=["PROMOTE", "BLOCK"])


def try_image(image: RootImage, state: Path, gates: Path, *, demo: bool = False) -> list[str]:
    """Every trial with a state folder of its own beginning; gives the names of those that failed, and prints all."""
    mounted = state.with_name("gates")
    shutil.rmtree(mounted, ignore_errors=True)
    shutil.copytree(gates, mounted)
    (mounted / ".secret").write_text("secret words\n")
    failed = [one.name for one in (*TRIALS, *((DEMO,) if demo else ())) if not _passes(one, image, state, mounted)]
    print(f"== {len(TRIALS) + demo - len(failed)} passed, {len(failed)} failed", *failed, sep="\n   ", flush=True)
    return failed


def _passes(trial: Trial, image: RootImage, state: Path, gates: Path) -> bool:
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(mode=0o700)
    os.chown(state, *map(int, image.user.split(":")))
    command = image.started(
        trial.words, state=state, gates=gates, environment=trial.environment, entrypoint=trial.entrypoint
    )
    began = time.monotonic()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=_SECONDS
    )
    missing = [words for words in trial.said if words not in done.stdout]
    passes = done.returncode == trial.status and not missing
    shown = done.stdout if not passes or len(done.stdout) < 6000 else done.stdout[-3000:]
    print(
        f"== {trial.name}: status {done.returncode}, {time.monotonic() - began:.1f} s, {'ok' if passes else 'FAILED'}"
    )
    print("".join(f"   {line}\n" for line in shown.splitlines()), end="")
    if missing:
        print(f"   not said: {missing}")
    return passes
