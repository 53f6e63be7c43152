"""An interrupt that a library swallowed is raised again before the next step.

Libraries import what they may lack under a bare ``except``: a SIGINT that arrives just there is gone, and a run that
somebody stopped would go on and promote.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Never

_seen: list[int] = []


def remember_interrupts() -> None:
    """From now on, in this process. Only the main thread may ask for it. Where a shell has set interrupts aside, as for
    a command in the background, that stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)


def raise_swallowed() -> None:
    """Raise KeyboardInterrupt if there has been one."""
    if _seen:
        raise KeyboardInterrupt


def _interrupted(number: int, frame: FrameType | None) -> Never:
    _seen.append(number)
    raise KeyboardInterrupt
