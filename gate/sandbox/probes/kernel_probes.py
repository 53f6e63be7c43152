"""Ways to more rights, and to parts of the kernel that no program under test needs. Run inside, by ``probing``."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import resource
import struct
import termios

from .probing import COLUMN, LIBC, call, in_child, probe, reached

_NEW_USER = 0x10000000
_CHILD_ENDS = 17


@probe
def user_namespace() -> str | None:
    return in_child(lambda: "a user namespace was made" if LIBC.unshare(_NEW_USER) == 0 else None)


@probe
def other_namespaces() -> str | None:
    def enter() -> str | None:
        for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x20000000, 0x40000000, 0x80):
            if LIBC.unshare(flag) == 0:
                return f"unshare({flag:#x}) succeeded"
        return None

    return in_child(enter)


def _end_child(child: int) -> str:
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "a process was started in a user namespace of its own"


@probe
def namespace_by_clone() -> str | None:
    return _end_child(call((56, 220), _NEW_USER | _CHILD_ENDS, 0, 0, 0, 0))


@probe
def namespace_by_clone3() -> str | None:
    return _end_child(call((435, 435), struct.pack("=11Q", _NEW_USER, 0, 0, 0, _CHILD_ENDS, 0, 0, 0, 0, 0, 0), 88))


@probe
def entering_a_namespace() -> str | None:
    return reached((308, 268), -1, 0)


@probe
def mounting() -> str | None:
    return reached((165, 40), b"none", b"/nowhere", b"tmpfs", 0, None)


@probe
def mounting_by_parts() -> str | None:
    return reached((430, 430), b"tmpfs", 0x1000) or reached((428, 428), -1, b"", 0x1000)


@probe
def unmounting() -> str | None:
    return reached((166, 39), b"/nowhere", 0)


@probe
def other_root() -> str | None:
    return in_child(lambda: reached((161, 51), b"/nowhere") or reached((155, 41), b"/nowhere", b"/nowhere"))


@probe
def bpf() -> str | None:
    return reached((321, 280), 0, struct.pack("=IIII112x", 2, 4, 4, 1), 128)


@probe
def performance_events() -> str | None:
    return reached((298, 241), struct.pack("=II120x", 1, 128), 0, -1, -1, 0)


@probe
def keyring() -> str | None:
    return reached((250, 219), 0, -3, 1)


@probe
def adding_keys() -> str | None:
    return reached((248, 217), b"user", b"probe", b"x", 1, -1)


@probe
def requesting_keys() -> str | None:
    return reached((249, 218), b"user", b"probe", None, -1)


@probe
def io_uring() -> str | None:
    return reached((425, 425), 1, bytes(120)) or reached((426, 426), -1, 0, 0, 0, None, 0)


@probe
def page_faults_by_user() -> str | None:
    return reached((323, 282), 1)


@probe
def kernel_modules() -> str | None:
    return reached((175, 105), None, 0, b"") or reached((313, 273), -1, b"", 0) or reached((176, 106), b"nomodule", 0)


@probe
def other_kernel() -> str | None:
    return reached((246, 104), 0, 0, None, 0xFFFF) or reached((320, 294), -1, -1, 0, b"", 0xFFFF)


@probe
def restart() -> str | None:
    return reached((169, 142), 0, 0, 0, None)


@probe
def swapping() -> str | None:
    return reached((167, 224), b"/nowhere", 0) or reached((168, 225), b"/nowhere")


@probe
def quotas_and_accounting() -> str | None:
    return reached((179, 60), -1, b"/nowhere", 0, None) or reached((163, 89), b"/nowhere")


@probe
def setting_the_clock() -> str | None:
    return reached((227, 112), 99, None) or reached((164, 170), struct.pack("=qq", -1, -1), None)


@probe
def naming_the_machine() -> str | None:
    return reached((170, 161), b"", -1)


@probe
def kernel_log() -> str | None:
    return reached((103, 116), 10, None, 0)


@probe
def watching_files_of_all() -> str | None:
    return reached((300, 262), 0, 0)


@probe
def ports_of_the_machine() -> str | None:
    return reached((172, -1), 4) or reached((173, -1), 1 << 20, 1, 1)


@probe
def execution_domain() -> str | None:
    return in_child(lambda: reached((135, 92), 0x0040000))


@probe
def file_in_memory() -> str | None:
    return reached((319, 279), b"probe", 0) or reached((447, 447), 0)


@probe
def shared_memory() -> str | None:
    return reached((29, 194), 0, 1 << 62, 0o600)


@probe
def message_queues() -> str | None:
    return reached((68, 186), 0, 0o600) or reached((240, 180), b"no/name", 0o100, 0o600, None)


@probe
def typing_into_the_terminal() -> str | None:
    for descriptor in (0, 1, 2):
        for command in (termios.TIOCSTI, 0x541C):
            try:
                fcntl.ioctl(descriptor, command, b"\x0a")
            except OSError as error:
                if error.errno not in (1, 13):
                    return f"the command {command:#x} is looked at: {error.strerror}"
            else:
                return "something was typed into a terminal"
    return None


@probe
def another_user() -> str | None:
    def become() -> str | None:
        for user in (0, 1, 1000):
            if user != os.getuid() and LIBC.setresuid(user, user, user) == 0:
                return f"became user {user}"
        return "runs as root" if os.getuid() == 0 else None

    return in_child(become)


@probe
def another_group() -> str | None:
    def become() -> str | None:
        for group in (0, 1, 1000):
            if group != os.getgid() and LIBC.setresgid(group, group, group) == 0:
                return f"became group {group}"
        return "its groups can be set" if LIBC.setgroups(0, None) == 0 else None

    return in_child(become)


@probe
def gaining_rights() -> str | None:
    return "set-user-ID programs give rights" if LIBC.prctl(39, 0, 0, 0, 0) != 1 else None


@probe
def capabilities() -> str | None:
    sets = ctypes.create_string_buffer(24)
    header = struct.pack("=II", 0x20080522, 0)
    if LIBC.capget(header, sets) != 0:
        return None
    held = struct.unpack("=6I", sets.raw)
    return f"it holds capabilities {held}" if any(held) else None


@probe
def filter_is_on() -> str | None:
    return "no filter of system calls is on" if LIBC.prctl(21, 0, 0, 0, 0) == 0 else None


@probe
def owner_of_files() -> str | None:
    path = f"owned{os.getpid()}"
    with open(path, "w", encoding="ascii"):
        try:
            os.chown(path, 1, 1)
        finally:
            os.unlink(path)
    return "a file was given away"


@probe
def calls_of_another_machine() -> str | None:
    """The kernel's 32-bit door, which rules by number would miss: ``mov eax, 20; int 0x80; ret`` is getpid there."""
    if platform.machine() != "x86_64":
        return None

    def enter() -> str | None:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
        door = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
        return "32-bit system calls are answered" if door() == os.getpid() else None

    return in_child(enter)


@probe
def calls_of_x32() -> str | None:
    if COLUMN != 0:
        return None
    return in_child(lambda: "x32 calls are answered" if LIBC.syscall(ctypes.c_long(0x40000000 + 39)) > 0 else None)


@probe
def core_files() -> str | None:
    return "core files can be written" if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0 else None


@probe
def raising_limits() -> str | None:
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        hard = resource.getrlimit(kind)[1]
        if hard == resource.RLIM_INFINITY:
            return f"limit {kind} is not set"
        try:
            resource.setrlimit(kind, (hard, hard + 1))
        except (ValueError, OSError):
            continue
        return f"limit {kind} was raised"
    return None


@probe
def higher_priority() -> str | None:
    before = os.nice(0)
    return in_child(lambda: "its priority was raised" if os.nice(-1) < before else None)


@probe
def time_of_the_processor_for_itself() -> str | None:
    def take() -> str | None:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        return "it runs before everything else"

    return in_child(take)
