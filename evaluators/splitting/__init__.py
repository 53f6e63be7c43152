"""Splits of a dataset that keep what belongs together on one side, and the search for what leaked across."""
