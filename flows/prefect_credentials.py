"""What Prefect's server may ask of whoever talks to its API without Prefect's own client."""

from __future__ import annotations

import base64
from collections.abc import Mapping


def prefect_credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """Headers by ``PREFECT_API_KEY`` or ``PREFECT_API_AUTH_STRING``, as Prefect's client sends them; empty without."""
    if key := environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    if pair := environ.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}
