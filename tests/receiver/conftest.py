"""The aid that starts an MLflow server is another folder's."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "registry"))
