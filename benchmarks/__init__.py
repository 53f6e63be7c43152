"""What finetune-gate costs, as ratios measured interleaved in one run: ``python -m benchmarks``."""
