"""What is drawn for a terminal, as text: ``as_text(lambda screen: screen.print(table), width=80)``."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console


def as_text(draw: Callable[[Console], None], *, width: int, color: bool = False) -> str:
    """The same bytes on every machine, without spaces at the ends of lines and without a line break at the end."""
    screen = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
        _environ={},
    )
    with screen.capture() as captured:
        draw(screen)
    return "\n".join(line.rstrip() for line in captured.get().rstrip().split("\n"))
