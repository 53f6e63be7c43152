"""Decisions on a model over time: a line for each, and a picture of every metric that a rule spoke of.

Path("history.html").write_text(render_history("support-bot", decisions), encoding="utf-8")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ..history import PastDecision, PastMove, became_of
from .history_plots import history_plot, plotted_metrics
from .html import page_environment, page_style
from .rows import DECISION_MARKS

_MARKS: Final = dict[str, str](DECISION_MARKS.items())
_TONES: Final[Mapping[str, str]] = {"promote": "passed", "block": "failed", "hold": "inconclusive"}
"""Mark and style of a decision; a tag that says anything else has none."""


def render_history(
    model: str, decisions: Sequence[PastDecision], metrics: Sequence[str] = (), moves: Sequence[PastMove] = ()
) -> str:
    """One self-contained page: no script, no remote asset. ``metrics``: those to draw, as MLflow names them."""
    plots = [history_plot(decisions, metric) for metric in metrics or plotted_metrics(decisions)]
    return page_environment().get_template("history.html").render(
        css=page_style(),
        model=model,
        decisions=[(one, _MARKS.get(one.decision, ""), _TONES.get(one.decision, "")) for one in reversed(decisions)],
        moves=[(one, became_of(one)) for one in reversed(moves)],
        plots=[plot for plot in plots if plot is not None],
    )  # fmt: skip
