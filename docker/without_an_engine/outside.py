"""This machine's settings of apt and pip, lent to a step that runs in another root, and gone with it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

_LENT: Final = "/run/outside"
_CERTIFICATES: Final = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy")
_TRUSTED: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_DEBIAN: Final = (
    ("http://deb.debian.org/debian", "bookworm"),
    ("http://deb.debian.org/debian-security", "bookworm-security"),
)


class Outside:
    """``folder`` takes the two small files that are mounted while a step runs. It is outside every root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def mirror(self) -> str:
        """The address that this machine takes Debian bookworm from; Debian's own where it has none."""
        return next(address for address, suite, _ in _debian_sources() if suite == "bookworm")

    def run(self, root: Path, environment: Mapping[str, str], folder: str, command: Sequence[str]) -> None:
        """Run ``command`` as root in ``root``, which it may write to; /tmp and /run are its own and end with it.

        Raises CalledProcessError where it fails.
        """
        lent = [root / path.lstrip("/") for path in folders_in(pip_settings().values())]
        there = {place for path in lent for place in (path, *path.parents) if place.exists()}
        try:
            subprocess.run(self._within(root, environment, folder, command), check=True)
        finally:
            # the empty folders that mounting made
            for path in lent:
                for place in (path, *path.parents):
                    if place in there or not place.is_dir() or any(place.iterdir()):
                        break
                    place.rmdir()

    def _within(self, root: Path, environment: Mapping[str, str], folder: str, command: Sequence[str]) -> list[str]:
        pip = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in pip_settings().items()}
        lent = pip | {name: os.environ[name] for name in _PROXIES if name in os.environ}
        lent |= {"APT_CONFIG": f"{_LENT}/apt.conf", "DEBIAN_FRONTEND": "noninteractive"}
        lent |= {name: f"{_LENT}/certificates" for name in _CERTIFICATES} if _TRUSTED.exists() else {}
        mounts = [one for path in folders_in(pip.values()) for one in ("--ro-bind", path, path)]
        if _TRUSTED.exists():
            mounts += ["--ro-bind", str(_TRUSTED), f"{_LENT}/certificates"]
        made = self._apt_files()
        return [
            *("bwrap", "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--cap-add", "ALL", "--clearenv"),
            *("--bind", str(root), "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run"),
            *("--perms", "1777", "--tmpfs", "/tmp", "--ro-bind", "/etc/resolv.conf", "/etc/resolv.conf"),
            *("--ro-bind", str(made / "apt.conf"), f"{_LENT}/apt.conf"),
            *("--ro-bind", str(made / "sources.list"), f"{_LENT}/sources.list"),
            *mounts,
            *(one for name, value in (lent | dict(environment)).items() for one in ("--setenv", name, value)),
            *("--chdir", folder, *command),
        ]

    def _apt_files(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        sources = [f"deb {address} {suite} {' '.join(parts)}\n" for address, suite, parts in _debian_sources()]
        (self._folder / "sources.list").write_text("".join(sources))
        said = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout.splitlines()
        ours = [f'Dir::Etc::sourcelist "{_LENT}/sources.list";', 'Dir::Etc::sourceparts "-";']
        ours += [line for line in said if line.startswith(("Acquire::http", "Acquire::https", "Acquire::Check"))]
        (self._folder / "apt.conf").write_text("\n".join(ours) + "\n")
        return self._folder


def _debian_sources() -> list[tuple[str, str, list[str]]]:
    """Address, suite and components of every Debian bookworm that this machine's apt knows; Debian's own for none."""
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    command = ["apt-get", "indextargets", "--format", form, "Created-By: Packages", "Origin: Debian"]
    found: dict[tuple[str, str], list[str]] = {}
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        address, suite, component = line.split()
        if suite.startswith("bookworm"):
            parts = found.setdefault((address, suite), [])
            parts += [component] * (component not in parts)
    if not any(suite == "bookworm" for _, suite in found):
        found = {(address, suite): ["main"] for address, suite in _DEBIAN}
    return [(address, suite, parts) for (address, suite), parts in found.items()]


def pip_settings() -> dict[str, str]:
    """What `pip config list` says here, by the name of the option; as there, the environment wins over files."""
    program = shutil.which("pip3") or shutil.which("pip")
    if program is None:
        return {}
    said = subprocess.run([program, "config", "list"], check=True, capture_output=True, text=True).stdout
    settings: dict[str, str] = {}
    for line in said.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            settings.setdefault(name.rpartition(".")[2], value.strip("'\""))
    return settings


def folders_in(values: Iterable[str]) -> list[str]:
    """Folders of this machine that ``values`` name as paths or file:// addresses; for an index of the usual layout,
    PLACE/simple with its files beside it, the place."""
    found: list[str] = []
    for word in (word for value in values for word in value.split()):
        path = Path(word.removeprefix("file://"))
        if path.is_absolute() and path.is_dir():
            place = str(path.parent if path.name == "simple" else path)
            found += [place] * (place not in found)
    return found
