#!/usr/bin/env -S python3 -IS
"""The image's health check: ``healthy [URL]`` ends with 0 or, saying why, with 1.

It asks URL, else $FINETUNE_GATE_HEALTH_URL, for an answer of 200 to 299. With neither there is no server to ask, and it
sees whether the state volume can be written to.
"""

from __future__ import annotations

import os
import sys
import tempfile
import urllib.request

_SECONDS = 5.0


def why_unhealthy(url: str, state: str) -> str:
    """Empty where all is well. OSError covers refused connections, time-outs and answers of 400 and more alike."""
    try:
        if url:
            # a proxy that is set for outgoing calls has no business in front of this container's own server
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=_SECONDS):
                return ""
        with tempfile.TemporaryFile(dir=state):
            return ""
    except (OSError, ValueError) as error:
        return f"{url or state}: {error}"


if __name__ == "__main__":
    argument = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("FINETUNE_GATE_HEALTH_URL", "")
    why = why_unhealthy(argument, os.environ.get("FINETUNE_GATE_HOME", "."))
    if why:
        sys.exit(f"unhealthy: {why}")
