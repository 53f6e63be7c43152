"""Ways to start a gate for a version that asks for one: in a process here, as a Prefect flow run, by GitHub.

watch = open_watch(WatchSettings((Path("gate.yaml"),), relay="github"))
watch.look()
"""

from .here import GateEnded, Here
from .watch import RelayName, Watch, WatchSettings, open_watch

__all__ = ["GateEnded", "Here", "RelayName", "Watch", "WatchSettings", "open_watch"]
