"""Probes that try to get out: each can where nothing keeps it in, and none does where a sandbox is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bare import Bare
from engine import IMAGE, NO_ENGINE

import finetune_gate.gate.sandbox.probes as sandbox_probes
from finetune_gate.gate.sandbox import choosing
from finetune_gate.gate.sandbox.backends.bubblewrap import Bubblewrap
from finetune_gate.gate.sandbox.backends.containers import Containers
from finetune_gate.gate.sandbox.backends.interpreters import interpreter_for
from finetune_gate.gate.sandbox.choosing import Unavailable, choose, first_that_contains
from finetune_gate.gate.sandbox.probes.self_test import Found, self_test

SOURCES = Path(str(sandbox_probes.__file__)).parent
PROBES = sorted(
    name
    for path in SOURCES.glob("*_probes.py")
    for name in re.findall(r"^@probe\ndef (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
)
NOBODYS = 12345

AS_THE_KERNEL_IS = {
    "calls_of_another_machine": "a processor or a kernel may have 64 bits only",
    "calls_of_x32": "this interface is built into few kernels",
    "control_groups": "they may be read-only",
    "kernel_log": "it may be root's alone",
    "kernel_modules": "a kernel may have none",
    "other_kernel": "a kernel may not be able to start another",
    "ports_of_the_machine": "a kernel may have left them out",
    "swapping": "a kernel may have none",
    "tcp_6": "a machine may have no IPv6",
    "terminal": "tests may run without one",
}
"""Probes that may find nothing even where nothing keeps them in."""

WITH_ALL_RIGHTS = {
    "adding_keys",
    "another_group",
    "another_user",
    "bpf",
    "descriptors_of_others",
    "capabilities",
    "devices",
    "entering_a_namespace",
    "execution_domain",
    "file_by_handle",
    "file_by_hard_link",
    "higher_priority",
    "io_uring",
    "keyring",
    "kernel_settings",
    "making_a_device",
    "memory_of_others",
    "mounting",
    "mounting_by_parts",
    "naming_the_machine",
    "namespace_by_clone",
    "namespace_by_clone3",
    "namespaces_of_others",
    "other_families",
    "other_namespaces",
    "other_root",
    "owner_of_files",
    "performance_events",
    "page_faults_by_user",
    "priority_of_others",
    "processes",
    "quotas_and_accounting",
    "raising_limits",
    "requesting_keys",
    "restart",
    "setting_the_clock",
    "time_of_the_processor_for_itself",
    "tracing_the_outside",
    "unmounting",
    "user_namespace",
    "watching_files_of_all",
    "writing_the_interpreter",
    "writing_the_root",
}
"""Probes that the kernel itself may refuse to a plain user, or to root in a container."""

needs_bubblewrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be a plain user for once")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return self_test(Bare(tmp_path_factory.mktemp("bare")))


@pytest.fixture(scope="module")
def bubblewrap() -> Found:
    return self_test(Bubblewrap())


@pytest.fixture(scope="module")
def bubblewrap_of_a_plain_user(readable_copy: Path) -> dict[str, object]:
    return in_a_plain_users_process(readable_copy, "Bubblewrap()", "backends.bubblewrap")


@pytest.fixture(scope="module")
def readable_copy() -> Iterator[Path]:
    """The package of sandboxes where everybody can read it: a checkout may lie in a home folder."""
    folder = Path(tempfile.mkdtemp(prefix="finetune-gate-copy-"))
    folder.chmod(0o755)
    shutil.copytree(SOURCES.parent, folder / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
    yield folder
    shutil.rmtree(folder)


def all_rights() -> bool:
    """Whether the kernel refuses this process nothing: the right CAP_SYS_ADMIN, and no filter of system calls."""
    said = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return bool(int(said["CapEff"], 16) >> 21 & 1) and int(said["Seccomp"]) == 0


def in_a_plain_users_process(folder: Path, backend: str, module: str) -> dict[str, object]:
    interpreter = interpreter_for(unprivileged=True)
    if interpreter is None:
        pytest.skip("no Python here can be read by a plain user")
    program = (
        f"import json, sys; sys.path.insert(0, {str(folder)!r})\n"
        f"from sandbox.{module} import *; from sandbox.probes.self_test import self_test\n"
        f"found = self_test({backend})\n"
        "print(json.dumps({'tried': sorted(found.tried), 'breaches': found.breaches}))\n"
    )
    said = subprocess.run(
        [interpreter.program, "-I", "-c", program],
        user=NOBODYS,
        group=NOBODYS,
        extra_groups=[],
        cwd="/",
        env={"PATH": os.environ.get("PATH", ""), "TOKEN": "a token of the outside"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def test_there_are_at_least_forty_probes() -> None:
    assert len(PROBES) == len(set(PROBES)) >= 40


@pytest.mark.parametrize("name", PROBES)
def test_the_probe_gets_out_of_a_plain_process(bare: Found, name: str) -> None:
    if name not in bare.breaches and (name in AS_THE_KERNEL_IS or (name in WITH_ALL_RIGHTS and not all_rights())):
        pytest.skip(AS_THE_KERNEL_IS.get(name, "these tests do not have all rights"))
    assert name in bare.breaches


def test_most_probes_get_out_of_a_plain_process_of_anyone(bare: Found) -> None:
    assert len(bare.breaches) >= 40


@needs_bubblewrap
@pytest.mark.parametrize("name", PROBES)
def test_bubblewrap_contains(bubblewrap: Found, name: str) -> None:
    assert name in bubblewrap.tried
    assert name not in bubblewrap.breaches


@needs_bubblewrap
@needs_root
@pytest.mark.parametrize("name", PROBES)
def test_bubblewrap_of_a_plain_user_contains(bubblewrap_of_a_plain_user: dict[str, object], name: str) -> None:
    tried, breaches = bubblewrap_of_a_plain_user["tried"], bubblewrap_of_a_plain_user["breaches"]
    assert isinstance(tried, list)
    assert isinstance(breaches, dict)
    assert name in tried
    assert name not in breaches


@pytest.mark.skipif(NO_ENGINE is not None, reason=str(NO_ENGINE))
def test_a_container_contains_every_probe() -> None:
    found = self_test(Containers(IMAGE))
    assert sorted(found.tried) == PROBES
    assert found.breaches == {}


@needs_bubblewrap
def test_what_contains_every_probe_is_chosen() -> None:
    chosen = choose("auto")
    assert not isinstance(chosen, Unavailable), chosen.reason
    assert chosen.name == "bwrap"
    assert choose("auto") is chosen


def test_what_lets_a_probe_out_is_refused_by_name(tmp_path: Path, bare: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "self_test", lambda backend: bare)  # which takes seconds where nothing ends it
    refused = first_that_contains([Bare(tmp_path)])
    assert isinstance(refused, Unavailable)
    assert f"of {len(bare.tried)} probes got out" in refused.reason


def test_the_next_one_is_taken_where_the_first_is_refused(tmp_path: Path) -> None:
    class Broken(Bare):
        name = "broken"

        def missing(self) -> str | None:
            return "it is not here"

    class Harmless(Bare):
        def start(self, program: str, limits: object) -> object:
            raise OSError("no user namespaces")

    refused = first_that_contains([Broken(tmp_path), Harmless(tmp_path)])  # pyright: ignore[reportArgumentType]
    assert isinstance(refused, Unavailable)
    assert "broken: it is not here; bare: it does not work here: no user namespaces" in refused.reason


def test_a_refusal_names_the_three_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    refused = first_that_contains([Bubblewrap(), Containers(None)])
    assert isinstance(refused, Unavailable)
    assert "nothing was run (bwrap: the program bwrap is not installed; docker: " in refused.reason
    for way in ("install bubblewrap", "AppArmor", "Docker engine"):
        assert way in refused.reason


def test_no_variable_takes_the_place_of_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    for name in ("HF_ALLOW_CODE_EVAL", "FINETUNE_GATE_SANDBOX", "FINETUNE_GATE_UNSAFE", "SANDBOX"):
        monkeypatch.setenv(name, "1")
    assert isinstance(first_that_contains([Bubblewrap(), Containers(None)]), Unavailable)
