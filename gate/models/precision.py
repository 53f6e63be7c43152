"""Float32 that is float32, whatever the process was set to."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


@contextmanager
def exact_float32() -> Generator[None]:
    """Within the context, float32 products are computed in float32; afterwards all settings are as they were.

    A training script before us, or TORCH_ALLOW_TF32_CUBLAS_OVERRIDE in a container, makes torch round their factors to
    TF32 (10 bits) or bfloat16. Answers are stored under the dtype alone, so a dtype must mean one thing. Also half
    precision models depend on it: rotary positions are a float32 product. The settings are the process's: other
    threads compute exactly meanwhile. Convolutions keep theirs.
    """
    torch: Any = import_module("torch")
    # set_float32_matmul_precision keeps torch's older and newer settings in step; the newer ones (2.9) say more, and
    # are all that can be read where somebody set them one by one
    owners: list[Any] = [getattr(torch.backends.cuda, "matmul", None), getattr(torch.backends.mkldnn, "matmul", None)]
    kept = [(owner, getattr(owner, "fp32_precision", None)) for owner in owners]
    try:
        before: str | None = torch.get_float32_matmul_precision()
    except RuntimeError:
        before = None
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        if before is not None:
            torch.set_float32_matmul_precision(before)
        for owner, precision in kept:
            if precision is not None:
                owner.fp32_precision = precision
