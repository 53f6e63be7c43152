"""What somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """``did you mean 'accuracy'?`` where something is close, else what there is."""
    options = sorted(map(str, known))
    close = difflib.get_close_matches(wrong, options, n=1)
    return f"did you mean {close[0]!r}?" if close else f"one of {', '.join(options) or 'none'}"
