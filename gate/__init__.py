"""Decide: gate file, plan, models, answer store, rules, registry, decision record, reports."""
