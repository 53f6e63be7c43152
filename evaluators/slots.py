"""Prompt templates: ``{column}`` slots, filled in one pass. No expressions, no nesting, nothing is evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SLOT = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def slot_names(template: str) -> tuple[str, ...]:
    """``slot_names("Ticket: {text}")`` is ``("text",)``; braces around anything else are plain text."""
    return tuple(dict.fromkeys(_SLOT.findall(template)))


def fill_slots(template: str, values: Mapping[str, object]) -> str:
    """Fill each slot once; braces inside a value stay as they are. Unknown slots stay as they are written."""

    def value(match: re.Match[str]) -> str:
        found = values.get(match[1], match[0])
        return "" if found is None else str(found)

    return _SLOT.sub(value, template)
