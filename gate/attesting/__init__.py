"""Decisions that others can check: statements about a run, signatures, verifying a record, deciding again.

verify_kept(kept, key=None).verified          # verifying
replay(kept, load_gate_file(Path("other.yaml")))    # replaying
"""
