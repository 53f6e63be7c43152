"""How this machine is shared out among the workers that are started on it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from finetune_gate.gate.gate_file.settings import Execution

CORES_PER_WORKER: Final = 4


@dataclass(frozen=True, slots=True)
class Share:
    """``workers`` processes with ``threads`` of torch each."""

    workers: int
    threads: int


def share_machine(execution: Execution, device: str) -> Share:
    """As many workers as the gate file says; else one for each GPU, or for every four cores and at least two.

    Threads times workers are never more than the cores, unless there are more workers than cores.
    """
    gpus = 0
    if device.startswith("cuda"):
        import torch

        gpus = torch.cuda.device_count()
    return share_cores(cores(), execution.workers or gpus)


def share_cores(available: int, workers: int = 0) -> Share:
    """OMP_NUM_THREADS holds for a worker as it does for a run without a cluster."""
    workers = workers or min(available, max(2, available // CORES_PER_WORKER))
    wished = os.environ.get("OMP_NUM_THREADS", "")
    most = int(wished) if wished.isdecimal() else available
    return Share(workers, max(1, min(most, available // workers)))


def cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
