"""Ways out of a sandbox to secrets and files of the outside. Run inside, by ``probing``."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
import sys

from .probing import call, outside, probe

_OWN = (0, 1, 2)


def _secret_in(content: bytes, what: str) -> str | None:
    return f"the secret stands in {what}" if outside["secret"].encode() in content else None


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(1 << 20)


def _any_of(pattern: str) -> str | None:
    for path in glob.glob(pattern):
        try:
            about = os.stat(path)  # a pipe of another process could be read from forever
            plain = stat.S_ISREG(about.st_mode) and about.st_size < 1 << 12
            found = _secret_in(_read(path), path) if plain else None
        except OSError:
            continue
        if found:
            return found
    return None


@probe
def environment() -> str | None:
    known = outside["environment"].split()
    for name, value in os.environ.items():
        if hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest() in known:
            return f"the variable {name} is the outside's"
    return None


@probe
def environment_of_others() -> str | None:
    return _any_of("/proc/[0-9]*/environ")


@probe
def arguments_of_others() -> str | None:
    return _any_of("/proc/[0-9]*/cmdline")


@probe
def planted_file() -> str | None:
    return _secret_in(_read(outside["file"]), outside["file"])


@probe
def file_by_root_of_others() -> str | None:
    return _any_of("/proc/[0-9]*/root" + outside["file"])


@probe
def file_by_folder_of_others() -> str | None:
    return _any_of("/proc/[0-9]*/cwd/secret")


@probe
def file_by_open_descriptors_of_others() -> str | None:
    return _any_of("/proc/[0-9]*/fd/*")


@probe
def file_by_symbolic_link() -> str | None:
    link = f"link{os.getpid()}"
    os.symlink(outside["file"], link)
    try:
        return _secret_in(_read(link), "the target of a link")
    finally:
        os.unlink(link)


@probe
def file_by_dots() -> str | None:
    return _secret_in(_read("../" * 40 + outside["file"].lstrip("/")), "a path of dots")


@probe
def file_by_hard_link() -> str | None:
    link = os.path.join(outside["open_folder"], f"hard{os.getpid()}")
    os.link(outside["file"], link)
    return _secret_in(_read(link), "a hard link")


@probe
def file_by_handle() -> str | None:
    handle = (8).to_bytes(4, sys.byteorder) + (1).to_bytes(4, sys.byteorder) + (2).to_bytes(8, sys.byteorder)
    for folder in ("/", "/tmp", "/usr/lib", "/python/lib"):
        try:
            at = os.open(folder, os.O_RDONLY)
        except OSError:
            continue
        try:
            call((304, 265), at, handle, os.O_RDONLY)
        except OSError as error:
            if error.errno not in (1, 13, 38):
                return f"handles are looked up: {error.strerror}"
        else:
            return "a file was opened by its handle"
        finally:
            os.close(at)
    return None


@probe
def folder_listing() -> str | None:
    return "a folder of the outside is listed" if "secret" in os.listdir(outside["folder"]) else None


@probe
def writing_outside() -> str | None:
    with open(os.path.join(outside["open_folder"], "written"), "w", encoding="ascii") as file:
        file.write("x")
    return "a file was written outside"


@probe
def writing_the_interpreter() -> str | None:
    for folder in {os.path.dirname(os.__file__), sys.prefix, *sys.path}:
        path = os.path.join(folder, f"probe{os.getpid()}")
        try:
            with open(path, "w", encoding="ascii"):
                os.unlink(path)
                return f"{folder} can be written to"
        except OSError:
            continue
    return None


@probe
def writing_the_root() -> str | None:
    for folder in ("/", "/dev", "/etc", "/usr", "/lib", "/var", "/home", "/root", "/run"):
        path = os.path.join(folder, f"probe{os.getpid()}")
        try:
            with open(path, "w", encoding="ascii"):
                os.unlink(path)
                return f"{folder} can be written to"
        except OSError:
            continue
    return None


@probe
def inherited_descriptors() -> str | None:
    for descriptor in range(3, 1024):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        return f"descriptor {descriptor} was inherited"
    return None


@probe
def descriptors_by_path() -> str | None:
    for descriptor in _OWN:
        target = os.readlink(f"/proc/self/fd/{descriptor}")
        if target.startswith("/") and target != "/dev/null":
            return f"descriptor {descriptor} is {target}"
    return None


@probe
def devices() -> str | None:
    for path in (
        "/dev/mem",
        "/dev/kmsg",
        "/dev/fuse",
        "/dev/kvm",
        "/dev/vda",
        "/dev/sda",
        "/dev/nvme0n1",
        "/dev/loop0",
    ):
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        except OSError:
            continue
        return f"{path} is open"
    return None


@probe
def making_a_device() -> str | None:
    path = f"device{os.getpid()}"
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 1))
    os.unlink(path)
    return "a device file was made"


@probe
def kernel_settings() -> str | None:
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches"):
        try:
            os.close(os.open(path, os.O_WRONLY))
        except OSError:
            continue
        return f"{path} can be written to"
    return None


@probe
def control_groups() -> str | None:
    for path in glob.glob("/sys/fs/cgroup/cgroup.procs") + glob.glob("/sys/fs/cgroup/*/*.procs"):
        if os.access(path, os.W_OK):
            return f"{path} can be written to"
    return None
