"""MLflow's registry: find and pin models, move an alias, keep what a run found.

    registry = Registry.connect()
    pins = registry.resolve("support-bot", "latest", downloads=Path("downloads"))

Only ``mlflow_client`` imports mlflow, inside its functions.
"""

from .ledger import Ledger, reconcile
from .ledger_store import Author
from .promotion import LedgerPromotion, Move, Promoter
from .registry import Registry
from .tracking import PastRun, Tracking

__all__ = [
    "Author",
    "Ledger",
    "LedgerPromotion",
    "Move",
    "PastRun",
    "Promoter",
    "Registry",
    "Tracking",
    "reconcile",
]
