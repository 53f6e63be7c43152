"""Settings for a Prefect server that lives as long as one run; to be made before Prefect is imported."""

from __future__ import annotations

import os

_SETTINGS = {
    # its own 20 s are not enough on a loaded machine
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # it prints tracebacks of its own cancelled tasks when it stops
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_FOREMAN_ENABLED": "false",
}


def prepare_ephemeral_server() -> None:
    """Nothing where a server is configured or the user has set something else."""
    if not os.environ.get("PREFECT_API_URL"):
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
