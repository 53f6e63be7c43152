"""Ways out of a sandbox to the network and to other processes. Run inside, by ``probing``."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys

from .probing import LIBC, call, in_child, outside, probe


@probe
def socket_of_containers() -> str | None:
    for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", outside["path"]):
        if os.path.exists(path):
            return f"{path} is there"
    return None


def _connected(family: int, address: object) -> str | None:
    with socket.socket(family, socket.SOCK_STREAM) as made:
        made.settimeout(0.5)
        made.connect(address)  # pyright: ignore[reportArgumentType]  # one of several kinds of address
    return "connected"


@probe
def tcp() -> str | None:
    return _connected(socket.AF_INET, ("127.0.0.1", int(outside["tcp"])))


@probe
def tcp_6() -> str | None:
    return _connected(socket.AF_INET6, ("::1", int(outside["tcp_6"])))


@probe
def udp() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.sendto(b"probe", ("127.0.0.1", int(outside["udp"])))
    return None  # the other side says whether it came


@probe
def unix_by_path() -> str | None:
    return _connected(socket.AF_UNIX, outside["path"])


@probe
def unix_by_name() -> str | None:
    return _connected(socket.AF_UNIX, "\0" + outside["name"])


@probe
def unix_by_pair() -> str | None:
    first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with first, second:
        first.sendto(b"probe", "\0" + outside["datagrams"])
    return "a pair of sockets reaches the outside"


@probe
def other_families() -> str | None:
    for family, kind in ((16, 3), (17, 3), (40, 1), (38, 5), (2, 3), (1, 1), (2, 1), (10, 2), (44, 3)):
        made = int(LIBC.socket(family, kind, 0))
        if made >= 0:
            os.close(made)
            return f"a socket of family {family} was made"
    return None


@probe
def route_to_the_network() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.connect(("192.0.2.1", 9))  # sends nothing; TEST-NET-1 of RFC 5737
    return "there is a route to the network"


@probe
def interfaces() -> str | None:
    with open("/proc/net/dev", encoding="ascii") as file:
        names = [line.split(":")[0].strip() for line in file if ":" in line]
    return f"the network has {names}" if set(names) - {"lo"} else None


@probe
def connections_of_others() -> str | None:
    port = f":{int(outside['tcp']):04X} "
    with open("/proc/net/tcp", encoding="ascii") as file:
        return "sockets of the outside are listed" if port in file.read() else None


@probe
def host_name() -> str | None:
    return "it has the name of the machine" if os.uname().nodename == outside["host"] else None


@probe
def tracing_the_outside() -> str | None:
    targets = (int(outside["process"]), os.getppid(), 1)

    def trace() -> str | None:
        for process in targets:
            # PTRACE_SEIZE does not stop it, and it is let go with the end of this child.
            if process > 0 and LIBC.ptrace(0x4206, process, None, None) == 0:
                return f"process {process} was traced"
        return None

    return in_child(trace)


@probe
def signal_to_the_outside() -> str | None:
    os.kill(int(outside["process"]), signal.SIGKILL)
    return None  # the other side says whether it came


@probe
def memory_of_others() -> str | None:
    for process in (int(outside["process"]), os.getppid(), 1):
        try:
            os.close(os.open(f"/proc/{process}/mem", os.O_RDWR))
        except OSError:
            continue
        return f"the memory of process {process} is open"
    return None


@probe
def memory_of_others_by_call() -> str | None:
    buffer = ctypes.create_string_buffer(8)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
    for numbers in ((310, 270), (311, 271)):
        for process in (int(outside["process"]), os.getppid(), os.getpid()):
            try:
                call(numbers, process, ctypes.addressof(local), 1, ctypes.addressof(local), 1, 0)
            except OSError as error:
                if error.errno not in (1, 3, 38):
                    return f"memory of process {process} is looked up: {error.strerror}"
            else:
                return f"memory of process {process} was read or written"
    return None


@probe
def descriptors_of_others() -> str | None:
    for process in (int(outside["process"]), os.getppid(), os.getpid()):
        try:
            call((438, 438), call((434, 434), process, 0), 0, 0)
        except OSError:
            continue
        return f"a descriptor of process {process} was taken"
    return None


@probe
def namespaces_of_others() -> str | None:
    def enter() -> str | None:
        for process in (int(outside["process"]), os.getppid()):
            for kind in ("net", "pid", "mnt", "user"):
                try:
                    with open(f"/proc/{process}/ns/{kind}", "rb") as file:
                        call((308, 268), file.fileno(), 0)
                except OSError:
                    continue
                return f"entered the {kind} namespace of process {process}"
        return None

    return in_child(enter)


@probe
def priority_of_others() -> str | None:
    os.setpriority(os.PRIO_PROCESS, int(outside["process"]), 19)
    return "the priority of an outside process was changed"


@probe
def terminal() -> str | None:
    os.close(os.open("/dev/tty", os.O_RDWR))
    return "there is a terminal"


@probe
def lingering() -> str | None:
    if os.fork() == 0:
        os.setsid()
        wait = "import os, time; os.environ.clear(); time.sleep(20)"
        subprocess.Popen([sys.executable, "-I", "-S", "-c", wait, outside["marker"]])
        os._exit(0)
    return None  # the other side says whether it is still there after the end
