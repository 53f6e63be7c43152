"""Judges that may be of the family of what they judge, told from the names of models behind APIs.

    kin_of_judges({"candidate": "ft:gpt-4o-mini:acme"}, {"openai:/gpt-4o": "gpt-4o"})
    # {"openai:/gpt-4o": ("candidate",)}

Judges tend to favour their own kind (arXiv 2404.13076). A name is a hint and no proof, so this only warns: what is
declared as `related` in a judge's settings is measured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_FAMILY = re.compile(r"(?:ft:)?(?:.*/)?([a-z]+)")


def family_of(name: str) -> str:
    """The letters that a model's own name begins with: ``gpt`` of ``ft:gpt-4o-mini:acme``, ``qwen`` of
    ``Qwen/Qwen2.5-7B-Instruct``. Empty where there are none."""
    found = _FAMILY.match(name.casefold())
    return found[1] if found else ""


def kin_of_judges(judged: Mapping[str, str], judges: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """For each judge by its address, the roles in ``judged`` whose names are of its family; judges without kin are left
    out."""
    kin: dict[str, tuple[str, ...]] = {}
    for address, name in judges.items():
        family = family_of(name)
        near = tuple(role for role, other in judged.items() if family and family_of(other) == family)
        if near:
            kin[address] = near
    return kin


def kinship_warning(judge: str, roles: tuple[str, ...]) -> str:
    return (
        f"judge {judge} seems to be of the family of {' and '.join(roles)}, and may favour its own: say so in its "
        "settings (related), beside a judge of another family, and the report shows by how much"
    )
