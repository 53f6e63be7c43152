"""What each rater said of the answers of one run: ratings, brought into the order of its examples.

    choices_by_rater(read_ratings(data["ratings"]), prompts, candidates, baselines)    # {"ana": [1.0, None, 0.5], ...}

Ratings are found by their texts alone. What people said of other answers, such as those of an earlier candidate, does
not show here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .ratings import Rating, text_key

Opinions = dict[str, list[float | None]]
"""By rater, in alphabetical order, one value per example; None: the rater did not say. Whoever said nothing at all is
left out."""


def choices_by_rater(
    ratings: Iterable[Rating],
    prompts: Sequence[str],
    candidates: Sequence[str | None],
    baselines: Sequence[str | None],
) -> Opinions:
    """1 where a rater chose the candidate's answer over the baseline's, 0 for the reverse, 0.5 for a tie. ``prompts``
    are as people saw them (`seen_prompt`); an answer that failed is None. Equal answers are nothing to choose from."""
    places: dict[frozenset[str], list[int]] = {}
    ours: list[str] = []
    for at, (prompt, candidate, baseline) in enumerate(zip(prompts, candidates, baselines, strict=True)):
        ours.append("" if candidate is None else text_key(prompt, candidate))
        if candidate is not None and baseline is not None and candidate != baseline:
            places.setdefault(frozenset((ours[at], text_key(prompt, baseline))), []).append(at)
    found: Opinions = {}
    for rating in ratings:
        for at in places.get(rating.texts, ()):
            if rating.choice is not None:
                chosen = rating.left if rating.choice == "left" else rating.right
                value = 0.5 if rating.choice == "tie" else float(chosen == ours[at])
                found.setdefault(rating.rater, [None] * len(prompts))[at] = value
    return dict(sorted(found.items()))


def scores_by_rater(
    ratings: Iterable[Rating], criterion: str, prompts: Sequence[str], texts: Sequence[str | None]
) -> Opinions:
    """The score from 1 to 5 that each rater gave to each of ``texts``, on whichever side and beside whatever. Where
    a rater met a text more than once, the last time counts."""
    places: dict[str, list[int]] = {}
    for at, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        if text is not None:
            places.setdefault(text_key(prompt, text), []).append(at)
    found: Opinions = {}
    for rating in ratings:
        for key, scores in ((rating.left, rating.left_scores), (rating.right, rating.right_scores)):
            if criterion in scores:
                for at in places.get(key, ()):
                    found.setdefault(rating.rater, [None] * len(prompts))[at] = float(scores[criterion])
    return dict(sorted(found.items()))


def mean_opinion(opinions: Mapping[str, Sequence[float | None]], at: int) -> float | None:
    """Mean over the raters who said something of example ``at``; None where nobody did."""
    said = [values[at] for values in opinions.values()]
    given = [value for value in said if value is not None]
    return sum(given) / len(given) if given else None
