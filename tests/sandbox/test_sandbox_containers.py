"""What a container is given, and why there may be none. What it does is tested in ``test_sandbox_backends``."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from finetune_gate.gate.sandbox.backends import containers
from finetune_gate.gate.sandbox.backends.containers import Containers, container_options
from finetune_gate.gate.sandbox.backends.seccomp import filter_for
from finetune_gate.gate.sandbox.protocol import Limits


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (None, "no image is given"),
        ("python:3.12", "not given by its digest"),
        ("python@sha256:abc", "not given by its digest"),
        ("-v@sha256:" + "0" * 64, "not given by its digest"),
    ],
    ids=["none", "tag", "short", "option"],
)
def test_an_image_is_given_by_its_digest(image: str | None, reason: str) -> None:
    pytest.importorskip("docker")
    assert reason in str(Containers(image).missing())


def test_an_engine_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("docker")
    image = "python@sha256:" + "0" * 64
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert "no Docker engine at" in str(Containers(image).missing())
    (tmp_path / "none.sock").write_text("")
    assert "is no socket" in str(Containers(image).missing())
    monkeypatch.setenv("DOCKER_HOST", "tcp://user:password@elsewhere:2375")
    assert Containers(image).missing() == "the engine at tcp://... is not on a socket of this machine"


def test_what_a_container_is_given() -> None:
    pytest.importorskip("docker")
    options = container_options(Limits(), gvisor=False)
    ulimits = {limit["Name"]: (limit["Soft"], limit["Hard"]) for limit in options.pop("ulimits")}
    assert ulimits == {"nofile": (64, 64), "fsize": (64 << 20, 64 << 20), "core": (0, 0), "msgqueue": (0, 0)}
    assert options.pop("log_config")["Type"] == "none"
    assert options.pop("command")[:5] == ["-s", "-S", "-X", "utf8", "-c"]
    assert options == {
        "entrypoint": ["python3"],
        "stdin_open": True,
        "network_mode": "none",
        "user": "65534:65534",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        "tmpfs": {"/tmp": f"rw,noexec,nosuid,nodev,size={64 << 20},nr_inodes=8192,mode=1777,uid=65534,gid=65534"},
        "working_dir": "/tmp",
        "mem_limit": 576 << 20,
        "memswap_limit": 576 << 20,
        "pids_limit": 33,
        "nano_cpus": 10**9,
        "ipc_mode": "none",
        "environment": {"MALLOC_ARENA_MAX": "1", "PYTHONHASHSEED": "0"},
        "hostname": "sandbox",
        "oom_score_adj": 1000,
        "labels": {"finetune-gate.sandbox": ""},
    }
    assert container_options(Limits(), gvisor=True)["runtime"] == "runsc"


def test_a_container_gets_the_filter_of_system_calls_too() -> None:
    settings = dict(line.split("=", 1) for line in containers.launch_settings(Limits()).decode().splitlines())
    assert bytes.fromhex(settings["filter"]) == filter_for(platform.machine())
    assert "nproc" not in settings  # it would count the processes of all containers; the engine counts those of one


@pytest.mark.parametrize("size", [1, 3, 7, 8, 9, 100])
def test_frames_of_a_container_are_taken_apart_wherever_they_are_cut(size: int) -> None:
    def frame(stream: int, text: bytes) -> bytes:
        return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text

    stream = frame(1, b"one") + frame(2, b"complaint") + frame(1, b"") + frame(1, b"two" * 30)
    demultiplexed = containers.Demultiplexed()
    found = b"".join(demultiplexed(stream[at : at + size]) for at in range(0, len(stream), size))
    assert found == b"one" + b"two" * 30
