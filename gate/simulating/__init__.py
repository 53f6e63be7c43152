"""How often a gate file decides what, for candidates of known difference."""
