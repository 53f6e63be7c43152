"""How often a gate file promotes, holds and blocks candidates of known true difference, before any of them is trained.

    found = simulate_gate(gate, drawn(gate), SimulationSettings(worlds=400), today=date.today(), progress=Silent())
    found.points[0].verdicts["promote"].share
    print(render_simulation(found))

Scores of many worlds are made, and each world is measured and decided by the code of a run.
"""

from .drawn import DrawnSettings, drawn
from .simulation import SimulationSettings, simulate_gate
from .stored import stored
from .terms import Simulation
from .text import print_simulation, render_simulation

__all__ = [
    "DrawnSettings",
    "Simulation",
    "SimulationSettings",
    "drawn",
    "print_simulation",
    "render_simulation",
    "simulate_gate",
    "stored",
]
