"""Measure: datasets, evaluators, metrics, statistics. Knows nothing of registries, models or orchestration."""
