"""A root folder that a Dockerfile's steps made, and the command that starts it as an engine would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(slots=True)
class RootImage:
    """``environment`` holds what ENV says, ``arguments`` what ARG says, which ends with the build. ``user`` is
    ``uid:gid``; ``volumes`` are paths within the image."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    arguments: dict[str, str] = field(default_factory=dict[str, str])
    folder: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list[str])
    command: list[str] = field(default_factory=list[str])
    volumes: list[str] = field(default_factory=list[str])

    @property
    def variables(self) -> dict[str, str]:
        """What ``$NAME`` stands for in a step: ENV wins over ARG."""
        return self.arguments | self.environment

    def started(
        self,
        words: Sequence[str] = (),
        *,
        state: Path,
        gates: Path,
        environment: Mapping[str, str] | None = None,
        entrypoint: bool = True,
    ) -> list[str]:
        """The command for ``docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges``:
        ``words`` (else CMD) after the entrypoint, as the image's user in a process namespace of its own.

        ``state`` is mounted at every volume, ``gates`` read-only at /srv/gates. The network is this machine's.
        """
        user, _, group = self.user.partition(":")
        variables = self.environment | dict(environment or {})
        return [
            *("bwrap", "--unshare-pid", "--as-pid-1", "--die-with-parent", "--clearenv"),
            *(one for name, value in variables.items() for one in ("--setenv", name, value)),
            *("--ro-bind", str(self.root), "/", "--dev", "/dev", "--proc", "/proc"),
            *("--ro-bind", "/etc/resolv.conf", "/etc/resolv.conf", "--perms", "1777", "--tmpfs", "/tmp"),
            *(one for volume in self.volumes for one in ("--bind", str(state), volume)),
            *("--ro-bind", str(gates), "/srv/gates", "--chdir", self.folder),
            # to become the image's user, and to give away what no process of the image has
            *("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"),
            *("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"),
            *("--bounding-set=-all", "--inh-caps=-all", "--"),
            *(self.entrypoint if entrypoint else ()),
            *(words or self.command),
        ]
