"""The filter of system calls of a sandbox, put together here in plain Python.

    bubblewrap ... --seccomp FD        # FD reads filter_for(platform.machine())

Everything is allowed but what is named below: what reaches out of a sandbox, what adds to the kernel's surface without
any use to a program that computes a value, and memory that no limit counts. The format is the kernel's classic BPF
(linux/filter.h, linux/seccomp.h): instructions of 8 bytes, over ``struct seccomp_data``.
"""

from __future__ import annotations

import struct
from typing import Final

_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

DENIED: Final[dict[str, tuple[int | None, int | None]]] = {
    # The outside world. A pair of connected stream sockets stays allowed (see below): asyncio starts with one.
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    # Other processes.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # Large surfaces of the kernel.
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "fanotify_init": (300, 262),
    "lookup_dcookie": (212, 18),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    # Namespaces and mounts, and files by handle.
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    # Memory that neither the limit of the address space nor that of the disk counts.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    # The machine itself.
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    # A program without a file.
    "execveat": (322, 281),
}
"""What fails with EPERM: numbers on x86_64 and on aarch64."""

_IOCTL: Final = (16, 29)
_CLONE: Final = (56, 220)
_CLONE3: Final = (435, 435)
_SOCKETPAIR: Final = (53, 199)

_LAST_KNOWN: Final = 462
"""What the kernel has learnt since (after 6.10) is answered as an older kernel would."""

_X32: Final = 0x40000000
"""Set in the numbers of another interface to the same kernel, which every rule by number would miss."""

_TERMINAL_INPUT: Final = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: type into the terminal of whoever started the gate."""

_NEW_NAMESPACES: Final = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET."""

_AF_UNIX: Final = 1
_SOCK_STREAM: Final = 1

_EPERM: Final = 1
_ENOSYS: Final = 38

_LOAD: Final = 0x20
_AND: Final = 0x54
_EQUAL: Final = 0x15
_AT_LEAST: Final = 0x35
_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06

_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_ERRNO: Final = 0x00050000

_NUMBER_AT: Final = 0
_ARCHITECTURE_AT: Final = 4


def filter_for(machine: str) -> bytes:
    """The program for ``machine`` (as ``platform.machine()`` says it). Raises OSError for one that has none: a filter
    of the wrong machine would let everything pass."""
    if machine not in _ARCHITECTURES:
        raise OSError(f"no filter of system calls is known for {machine!r}, only for {' and '.join(_ARCHITECTURES)}")
    column = list(_ARCHITECTURES).index(machine)
    program = [
        _step(_LOAD, _ARCHITECTURE_AT),
        *_unless(_EQUAL, _ARCHITECTURES[machine], _KILL),
        _step(_LOAD, _NUMBER_AT),
    ]
    if machine == "x86_64":
        program += _where(_AT_LEAST, _X32, _KILL)
    program += _where(_AT_LEAST, _LAST_KNOWN + 1, _ERRNO | _ENOSYS)
    program += _where(_EQUAL, _CLONE3[column], _ERRNO | _ENOSYS)
    for numbers in DENIED.values():
        number = numbers[column]
        if number is not None:
            program += _where(_EQUAL, number, _ERRNO | _EPERM)
    program += _guarded(_CLONE[column], [_argument(0), *_where(_ANY_BIT, _NEW_NAMESPACES, _ERRNO | _EPERM)])
    commands = [step for command in _TERMINAL_INPUT for step in _where(_EQUAL, command, _ERRNO | _EPERM)]
    program += _guarded(_IOCTL[column], [_argument(1), *commands])
    program += _guarded(
        _SOCKETPAIR[column],
        [
            _argument(0),
            *_unless(_EQUAL, _AF_UNIX, _ERRNO | _EPERM),
            _argument(1),
            _step(_AND, 0xF),
            *_unless(_EQUAL, _SOCK_STREAM, _ERRNO | _EPERM),
        ],
    )
    return b"".join([*program, _step(_RETURN, _ALLOW)])


def _step(code: int, operand: int, jump_if: int = 0, jump_else: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump_if, jump_else, operand)


def _argument(index: int) -> bytes:
    # The lower half: the kernel takes these arguments as 32 bits wide, or (flags of clone) looks at no higher ones.
    return _step(_LOAD, 16 + 8 * index)


def _where(test: int, operand: int, answer: int) -> list[bytes]:
    return [_step(test, operand, 0, 1), _step(_RETURN, answer)]


def _unless(test: int, operand: int, answer: int) -> list[bytes]:
    return [_step(test, operand, 1, 0), _step(_RETURN, answer)]


def _guarded(number: int, steps: list[bytes]) -> list[bytes]:
    """``steps`` for one system call, after which the program allows: they overwrite the number that was loaded."""
    inner = [*steps, _step(_RETURN, _ALLOW)]
    return [_step(_EQUAL, number, 0, len(inner)), *inner]
