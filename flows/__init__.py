"""Orchestrate: Prefect flow, command line, demo."""
