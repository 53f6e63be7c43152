"""Names of artifacts in Prefect. Its UI keeps a history of each."""

from __future__ import annotations

import re


def artifact_key(model: str) -> str:
    """``evaluation-gate-support-bot``; Prefect allows lower-case letters, digits and dashes."""
    return "evaluation-gate-" + re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:200]
