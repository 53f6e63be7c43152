"""People who rate: what they are shown, and what they said."""
