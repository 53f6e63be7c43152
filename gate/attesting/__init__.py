"""Records that can be checked: statements, signatures, the decision computed again."""
