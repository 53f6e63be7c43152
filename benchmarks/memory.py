"""Peak memory of one model, and of a LoRA candidate with its base, in a process of their own.

python -m benchmarks.memory BASE [ADAPTER]     # prints how far the peak rose above what imports take, in bytes
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

from finetune_gate.evaluators.asking import GenerateRequest, Request, ScoreRequest
from finetune_gate.gate.models.opening import open_models
from finetune_gate.gate.pins import Pins

from .ours import answers, pin


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(name + ":"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {name}")


def main(base: Path, adapter: Path | None) -> dict[str, int]:
    for name in ("torch", "transformers.models.llama.modeling_llama", "peft", "transformers.cache_utils"):
        import_module(name)
    before = _status("VmRSS")
    texts = [f"note {at} " + "the of day " * (10 + at % 30) for at in range(24)]
    requests: list[Request] = [ScoreRequest("", text) for text in texts]
    requests += [GenerateRequest(text, max_new_tokens=8) for text in texts[:8]]
    with open_models(Pins(pin("candidate", adapter or base), pin("base", base), None)) as models:
        answers(models["candidate"], requests)
        if adapter is not None:
            answers(models["base"], requests)
    return {"growth": _status("VmHWM") - before}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)))
