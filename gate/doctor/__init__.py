"""What a gate needs around it, looked at: this machine, MLflow, the gate file's APIs.

    findings = examine(checks)                 # each a Finding: ok, warning, fault or skipped
    keeps_gates_from_running(findings)

Nothing here changes anything or costs anything. Prefect is looked at by `flows/doctor_prefect.py`.
"""

from .asking import NoReply, Reply, ask, is_loopback
from .endpoints import endpoint_findings, wanted_models
from .examining import Check, examine, within
from .finding import Finding, State, fault, faults_of, keeps_gates_from_running, ok, skipped, warning
from .machine import VersionOf, device, home_folder, installed, python_and_packages, records_folder
from .mlflow_registry import registry_findings
from .mlflow_server import Addresses, address_findings, is_http, server_finding, webhook_settings
from .reaching import cluster_finding
from .sandboxes import sandbox_finding, wanted_sandboxes
from .scratch import scratch_folder
from .webhooks import OWN_WEBHOOK

__all__ = [
    "OWN_WEBHOOK",
    "Addresses",
    "Check",
    "Finding",
    "NoReply",
    "Reply",
    "State",
    "VersionOf",
    "address_findings",
    "ask",
    "cluster_finding",
    "device",
    "endpoint_findings",
    "examine",
    "fault",
    "faults_of",
    "home_folder",
    "installed",
    "is_http",
    "is_loopback",
    "keeps_gates_from_running",
    "ok",
    "python_and_packages",
    "records_folder",
    "registry_findings",
    "sandbox_finding",
    "scratch_folder",
    "server_finding",
    "skipped",
    "wanted_models",
    "wanted_sandboxes",
    "warning",
    "webhook_settings",
    "within",
]
