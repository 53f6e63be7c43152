"""Versions that are Python code to MLflow (pyfunc, scikit-learn), asked in a process of their own.

    model = PythonPredictions(pin.files)
    model.generate([GenerateRequest("charged twice")], deliver)    # Generation("billing", "stop", 0)
    model.release()                                                # ends the process

Prediction only: one text in, one text out. Loading such a version runs its author's code. The process of its own keeps
the gate's secrets out of its environment and its faults out of the gate. It is **no sandbox**: the code runs as the
same user, reads and writes the same files (``/proc/<gate>/environ`` among them) and reaches the network. With
``trust: code`` the gate file says that this is meant.
"""

from .predictions import PythonPredictions

__all__ = ["PythonPredictions"]
