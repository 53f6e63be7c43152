"""Texts: normalising, tokens, overlap, diversity, terms. Pure functions of strings; no model, no dataset."""
