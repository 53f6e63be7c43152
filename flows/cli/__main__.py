"""``python -m finetune_gate.flows.cli``: the same as ``finetune-gate``."""

from .program import main

main()
