"""The filter of system calls, run by an interpreter of the kernel's classic BPF."""

from __future__ import annotations

import ctypes
import ctypes.util
import struct

import pytest

from finetune_gate.gate.sandbox.backends import seccomp

X86_64, AARCH64, I386, ARM = 0xC000003E, 0xC00000B7, 0x40000003, 0x40000028
ARCHITECTURES = {"x86_64": X86_64, "aarch64": AARCH64}
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x00050001, 0x00050026
MACHINES = ("x86_64", "aarch64")

NUMBERS = {
    "read": (0, 63),
    "execve": (59, 221),
    "exit_group": (231, 94),
    "futex": (202, 98),
    "pipe2": (293, 59),
    "clone": (56, 220),
    "clone3": (435, 435),
    "ioctl": (16, 29),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "ptrace": (101, 117),
    "mount": (165, 40),
    "unshare": (272, 97),
    "bpf": (321, 280),
}


def number(name: str, machine: str) -> int:
    return NUMBERS[name][MACHINES.index(machine)]


def run(program: bytes, number: int, arguments: tuple[int, ...] = (), architecture: int = X86_64) -> int:
    """What the kernel would answer (linux/filter.h: the instructions that are checked for seccomp)."""
    padded = (*arguments, *([0] * (6 - len(arguments))))
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, architecture, 0, *padded)
    steps = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator, at = 0, 0
    while True:
        code, jump_if, jump_else, operand = steps[at]
        at += 1
        if code == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            assert operand % 4 == 0
            accumulator = struct.unpack_from("=I", data, operand)[0]
        elif code == 0x54:  # BPF_ALU | BPF_AND | BPF_K
            accumulator &= operand
        elif code == 0x15:  # BPF_JMP | BPF_JEQ | BPF_K
            at += jump_if if accumulator == operand else jump_else
        elif code == 0x35:  # BPF_JMP | BPF_JGE | BPF_K
            at += jump_if if accumulator >= operand else jump_else
        elif code == 0x45:  # BPF_JMP | BPF_JSET | BPF_K
            at += jump_if if accumulator & operand else jump_else
        elif code == 0x06:  # BPF_RET | BPF_K
            return operand
        else:
            raise AssertionError(f"instruction {code:#x} is not one of these")


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def answer(machine: str):
    program = seccomp.filter_for(machine)

    def ask(name: str, *arguments: int) -> int:
        return run(program, number(name, machine), arguments, ARCHITECTURES[machine])

    return ask


def test_it_has_a_size_that_the_kernel_takes(machine: str) -> None:
    program = seccomp.filter_for(machine)
    assert len(program) % 8 == 0
    assert len(program) // 8 <= 4096


def test_every_jump_stays_inside_and_every_path_ends(machine: str) -> None:
    program = seccomp.filter_for(machine)
    steps = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    for at, (code, jump_if, jump_else, _) in enumerate(steps):
        if code in (0x15, 0x35, 0x45):
            assert at + 1 + max(jump_if, jump_else) < len(steps)
    assert steps[-1][0] == 0x06


@pytest.mark.parametrize("name", ["read", "execve", "exit_group", "futex", "pipe2"])
def test_what_every_program_needs_is_allowed(answer, name: str) -> None:
    assert answer(name) == ALLOW


@pytest.mark.parametrize("name", ["socket", "ptrace", "mount", "unshare", "bpf"])
def test_what_is_named_is_denied(answer, name: str) -> None:
    assert answer(name) == EPERM


def test_every_call_that_is_named_is_denied_on_each_machine_that_has_it(machine: str) -> None:
    program = seccomp.filter_for(machine)
    column = MACHINES.index(machine)
    denied = [numbers[column] for numbers in seccomp.DENIED.values() if numbers[column] is not None]
    assert len(denied) == len(set(denied)) >= 70
    for number in denied:
        assert run(program, number, (), ARCHITECTURES[machine]) == EPERM


def test_nothing_else_is_denied(machine: str) -> None:
    program = seccomp.filter_for(machine)
    column = MACHINES.index(machine)
    named = {numbers[column] for numbers in seccomp.DENIED.values()}
    special = {number(name, machine) for name in ("clone", "clone3", "ioctl", "socketpair")}
    for other in set(range(463)) - named - special:
        assert run(program, other, (), ARCHITECTURES[machine]) == ALLOW


@pytest.mark.parametrize("other", [I386, ARM, 0])
def test_another_architecture_ends_the_process(machine: str, other: int) -> None:
    assert run(seccomp.filter_for(machine), 20, (), other) == KILL


def test_a_filter_of_the_other_machine_lets_nothing_pass() -> None:
    assert run(seccomp.filter_for("aarch64"), 0, (), X86_64) == KILL
    assert run(seccomp.filter_for("x86_64"), 63, (), AARCH64) == KILL


@pytest.mark.parametrize("call", [0, 41, 101, 512, 547])
def test_the_x32_door_ends_the_process(call: int) -> None:
    assert run(seccomp.filter_for("x86_64"), 0x40000000 | call) == KILL


@pytest.mark.parametrize("call", [463, 467, 1000, 0x3FFFFFFF])
def test_calls_that_it_does_not_know_are_answered_as_an_older_kernel_would(machine: str, call: int) -> None:
    assert run(seccomp.filter_for(machine), call, (), ARCHITECTURES[machine]) == ENOSYS


@pytest.mark.parametrize("bit", [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000])
def test_clone_makes_no_namespace(answer, bit: int) -> None:
    assert answer("clone", 17 | bit) == EPERM
    assert answer("clone", 0xFFFFFFFF00000000 | 17 | bit) == EPERM


def test_clone_makes_processes_and_threads(answer) -> None:
    assert answer("clone", 17) == ALLOW
    assert answer("clone", 0x3D0F00) == ALLOW  # what the C library starts a thread with


def test_clone3_whose_flags_a_filter_cannot_see_is_not_there(answer) -> None:
    assert answer("clone3", 1, 88) == ENOSYS


@pytest.mark.parametrize("command", [0x5412, 0x541C])
def test_nothing_is_typed_into_a_terminal(answer, command: int) -> None:
    assert answer("ioctl", 0, command) == EPERM
    assert answer("ioctl", 0, 0x100000000 | command) == EPERM  # the kernel drops the upper half


def test_other_commands_of_devices_are_allowed(answer) -> None:
    assert answer("ioctl", 0, 0x5401) == ALLOW


@pytest.mark.parametrize(
    ("family", "kind", "expected"),
    [(1, 1, ALLOW), (1, 0x80801, ALLOW), (1, 2, EPERM), (1, 5, EPERM), (2, 1, EPERM), (40, 1, EPERM)],
    ids=["streams", "streams_not_blocking", "datagrams", "packets", "internet", "machine"],
)
def test_a_pair_of_sockets_is_a_pair_of_connected_streams(answer, family: int, kind: int, expected: int) -> None:
    assert answer("socketpair", family, kind) == expected


@pytest.mark.parametrize("machine", ["i686", "riscv64", "", "armv7l"])
def test_a_machine_without_a_filter_is_refused(machine: str) -> None:
    with pytest.raises(OSError, match="no filter of system calls"):
        seccomp.filter_for(machine)


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_are_those_of_libseccomp(machine: str) -> None:
    found = ctypes.util.find_library("seccomp")
    if found is None:
        pytest.skip("libseccomp is not on this machine")
    resolve = ctypes.CDLL(found).seccomp_syscall_resolve_name_arch
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    column = MACHINES.index(machine)
    for name, numbers in {**seccomp.DENIED, **NUMBERS}.items():
        theirs = resolve(ARCHITECTURES[machine], name.encode())
        if theirs == -1:  # newer than the library
            continue
        assert numbers[column] == (theirs if theirs >= 0 else None), name
