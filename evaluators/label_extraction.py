"""Find the label in a generated text. Extraction is part of the metric, so it is small, fixed and tested.

Order of the rules (the first that applies decides):

1. an explicit answer line (``Answer: billing``): the last such line is read, nothing before it;
2. otherwise the whole text is read.

In what is read, the last whole label wins (longest first where labels overlap); failing that, where options were
lettered, the last single letter such as ``(B)``. Nothing found is ``None``, the class ``[invalid]``: never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

_ANSWER_LINE = re.compile(
    r"^[\s>*_#-]*(?:final\s+answer|answer|label|category|class)\s*(?:is)?\s*[:=]\s*(?P<rest>.*)$",
    re.IGNORECASE | re.MULTILINE,
)


def extract_label(text: str, labels: Sequence[str], *, lettered: bool = False) -> int | None:
    """``extract_label("Answer: Billing.", ["bug", "billing"])`` is ``1``; ``None`` where no label is found."""
    lines = list(_ANSWER_LINE.finditer(text))
    read = lines[-1]["rest"] if lines else text
    found = _last_label(read, labels)
    if found is None and lettered:
        found = _last_letter(read, len(labels))
    return found


def _last_label(text: str, labels: Sequence[str]) -> int | None:
    by_folded = {label.strip().casefold(): index for index, label in enumerate(labels)}
    longest_first = sorted(by_folded, key=len, reverse=True)
    pattern = "|".join(re.escape(label) for label in longest_first)
    matches = re.findall(rf"(?<!\w)(?:{pattern})(?!\w)", text.casefold())
    return by_folded[matches[-1]] if matches else None


def _last_letter(text: str, count: int) -> int | None:
    letters = ascii_uppercase[:count]
    matches = re.findall(rf"(?<![\w'])\(?([{letters}])[).:]?(?![\w'])", text)
    return letters.index(matches[-1]) if matches else None
