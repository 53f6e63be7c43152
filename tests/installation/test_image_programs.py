"""docker/start.sh and docker/healthy.py, run as they are."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from image_aid import DOCKER


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of programs that print how they were called, and what stands in OPENAI_API_KEY."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("finetune-gate", "prefect"):
        (folder / name).write_text(
            '#!/bin/sh\nprintf "%s|" "${0##*/}" "$@" "${OPENAI_API_KEY-}" "${OPENAI_API_KEY_FILE-}"\nexit 7\n'
        )
        (folder / name).chmod(0o755)
    return folder


def start(programs: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    state = programs.parent / "state"
    folders = {"HOME": f"{state}/home", "FINETUNE_GATE_HOME": f"{state}/answers", "PREFECT_HOME": f"{state}/prefect"}
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    return subprocess.run(
        [DOCKER / "start.sh", *words], env=path | folders | environment, capture_output=True, text=True, check=False
    )


def test_words_go_to_finetune_gate_and_its_status_comes_back(programs: Path) -> None:
    done = start(programs, "run", "/srv/gates/a gate.yaml", "$(id)", "*")
    assert done.stdout == "finetune-gate|run|/srv/gates/a gate.yaml|$(id)|*|||"
    assert done.returncode == 7
    assert {one.name for one in (programs.parent / "state").iterdir()} == {"home", "answers", "prefect"}


def test_without_words_it_is_finetune_gate(programs: Path) -> None:
    assert start(programs).stdout == "finetune-gate|||"


def test_other_programs_of_the_image_are_run_by_name(programs: Path) -> None:
    assert start(programs, "prefect", "worker", "start").stdout == "prefect|worker|start|||"


def test_a_secret_comes_from_its_file(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret $(id) `id` words\n")
    done = start(programs, "plan", OPENAI_API_KEY_FILE=str(tmp_path / "key"))
    assert done.stdout == "finetune-gate|plan|s3cret $(id) `id` words||"


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be read"), ("", "is empty"), ("\n", "is empty")])
def test_a_secret_that_is_not_there_is_told(programs: Path, tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content)
    done = start(programs, "plan", OPENAI_API_KEY_FILE=str(tmp_path / "key"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"OPENAI_API_KEY_FILE: {tmp_path / 'key'} {said}" in done.stderr


def test_two_sources_of_one_secret_are_refused(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the file")
    done = start(programs, "plan", OPENAI_API_KEY_FILE=str(tmp_path / "key"), OPENAI_API_KEY="from the environment")
    assert done.returncode == 2
    assert "OPENAI_API_KEY and OPENAI_API_KEY_FILE are both set" in done.stderr
    assert "from the" not in done.stderr


def test_a_state_folder_that_cannot_be_made_is_left_to_doctor(programs: Path) -> None:
    done = start(programs, "doctor", HOME="/proc/nowhere")
    assert done.stdout == "finetune-gate|doctor|||"
    assert done.stderr == ""


@pytest.fixture
def server() -> Iterator[str]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path.strip("/")))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    with HTTPServer(("127.0.0.1", 0), Answers) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


def healthy(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {"PATH": os.environ["PATH"], "FINETUNE_GATE_HOME": "/nowhere"}
    return subprocess.run([DOCKER / "healthy.py", *words], env=known | environment, capture_output=True, text=True)


def test_healthy_asks_the_server(server: str) -> None:
    assert healthy(f"{server}/200").returncode == 0
    assert healthy(FINETUNE_GATE_HEALTH_URL=f"{server}/204").returncode == 0
    assert healthy(f"{server}/200", http_proxy="http://127.0.0.1:9").returncode == 0


@pytest.mark.parametrize("status", [404, 500, 503])
def test_an_answer_of_another_kind_is_unhealthy(server: str, status: int) -> None:
    done = healthy(f"{server}/{status}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"unhealthy: {server}/{status}: HTTP Error {status}")


def test_the_argument_wins_over_the_environment(server: str) -> None:
    assert healthy(f"{server}/503", FINETUNE_GATE_HEALTH_URL=f"{server}/200").returncode == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/health", "nonsense"])
def test_nobody_there_is_unhealthy_in_one_line(url: str) -> None:
    done = healthy(url)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


def test_without_a_server_the_state_folder_tells(tmp_path: Path) -> None:
    assert healthy(FINETUNE_GATE_HOME=str(tmp_path)).returncode == 0
    assert list(tmp_path.iterdir()) == []
    assert healthy(FINETUNE_GATE_HOME=str(tmp_path / "none")).returncode == 1
