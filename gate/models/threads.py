"""How many threads a model's work is worth."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

ONE_THREAD_PARAMETERS = 4_000_000
"""Below it, a matrix product is over before a second thread has begun: two cores take up to twice the CPU time of one
for a wall time that is the same when generating, and longer on a machine that does something else too."""


@contextmanager
def threads_for(parameters: int, device: str) -> Generator[None]:
    """Within the context, torch computes with one thread where the model is small, else with as many as are set."""
    import torch

    before = torch.get_num_threads()
    few = device == "cpu" and parameters < ONE_THREAD_PARAMETERS and before > 1
    if few:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if few:
            torch.set_num_threads(before)
