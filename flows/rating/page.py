"""The rating page, in its two forms: one template, style and script serve both.

    served_page(sheet.title)    # fetches its sheet from the server that it came from
    rating_page(sheet)          # holds its sheet; ratings are kept by the browser and downloaded

Nothing runs or is styled but what this package holds: the page's policy lists the digests of its scripts and style, and
shuts out everything else. Texts of models are data in JSON, and reach the page as text nodes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from finetune_gate.evaluators.people.ratings import MAX_NOTES
from finetune_gate.evaluators.people.sheet import Sheet
from finetune_gate.gate.rating import Said, sheet_fields
from finetune_gate.gate.reports.html import page_environment

SCRIPTS = ("keeping.js", "questions.js", "page.js", "opening.js")


def page_fields(sheet: Sheet, said: Mapping[str, Said]) -> dict[str, object]:
    """What the page is given: the sheet, and a key by which a browser knows it again."""
    key = hashlib.sha256(json.dumps([sheet.rater, [item.id for item in sheet.items]]).encode()).hexdigest()[:32]
    return {"key": key, **sheet_fields(sheet, said)}


def rating_page(sheet: Sheet) -> str:
    """One file with everything in it, for a rater who has only a browser."""
    return _render(sheet.title, policy(), page_fields(sheet, {}))


@cache
def served_page(title: str) -> str:
    """The same page without a sheet."""
    return _render(title, policy("connect-src 'self'"), None)


def policy(*more: str) -> str:
    """The Content-Security-Policy of the page."""
    scripts = " ".join(_digest(packaged(name)) for name in SCRIPTS)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {scripts}",
            f"style-src {_digest(packaged('page.css'))}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            *more,
        )
    )


def _render(title: str, allowed: str, fields: Mapping[str, object] | None) -> str:
    from markupsafe import Markup

    # no `<`: nothing in the data can end the element that holds it
    data = json.dumps(fields, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c").replace("&", "\\u0026")
    return (
        page_environment()
        .from_string(packaged("page.html"))
        .render(
            title=title,
            policy=allowed,
            css=Markup(packaged("page.css")),
            scripts=[Markup(packaged(name)) for name in SCRIPTS],
            sheet=Markup(data),
            longest_note=MAX_NOTES,
        )
    )


@cache
def packaged(name: str) -> str:
    """The text of a file of this package, of which the page is made."""
    return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
