"""Leakage: what was seen is found in whatever dress, and what was not is left alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_gate.evaluators.splitting import likeness, shingles
from finetune_gate.evaluators.splitting.leakage import Leak, find_leaks
from finetune_gate.evaluators.splitting.likeness import jaccard, signatures
from finetune_gate.evaluators.splitting.shingles import Vocabulary, windows
from finetune_gate.evaluators.splitting.wording import normal_form, plain_words, row_text

WORDS = [f"w{at}" for at in range(3_000)]


def text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Eiffel Tower.", "the  eiffel\ntower"),
        ("Ｆｕｌｌ ｗｉｄｔｈ", "full width"),
        ("Straße", "STRASSE"),
        ("cafe\u0301", "café"),
        ("«Слово», сказал он", "слово сказал он"),
        ("東京は晴れ。", "東京は晴れ"),
        ("well-known", "well known"),
        ("👍", " 👍 "),
    ],
)
def test_the_same_in_another_dress_is_the_same(one: str, other: str) -> None:
    assert normal_form(one) == normal_form(other)
    assert find_leaks([one], [other]) == (Leak(0, 0, "exact", 1.0),)


@pytest.mark.parametrize(
    ("one", "other"),
    [("3 + 5", "3 - 5"), ("3 * 5", "3 / 5"), ("$5", "€5"), ("1 < 2", "1 > 2"), ("👍", "👎"), ("x = -1", "x = 1")],
)
def test_signs_that_mean_something_are_no_punctuation(one: str, other: str) -> None:
    assert normal_form(one) != normal_form(other)
    assert find_leaks([one], [other]) == ()


def test_empty_texts_are_nobodys_copy() -> None:
    assert find_leaks(["", " ", "..."], ["", "...", "\n"]) == (Leak(1, 2, "exact", 1.0),)
    assert find_leaks([], ["a"]) == find_leaks(["a"], []) == ()


def test_near_duplicates_are_verified_and_found() -> None:
    """One word of sixty replaced: five of 56 shingles change, so the Jaccard index is 51 / 61."""
    chance = random.Random(0)
    seen = [text(chance, 60) for _ in range(300)]
    unseen = [" ".join([*one.split()[:30], "replaced", *one.split()[31:]]) for one in seen[:200]]
    found = find_leaks(seen, unseen)
    near = [leak for leak in found if leak.kind == "near-duplicate"]
    assert all(leak.seen == leak.unseen and leak.degree == pytest.approx(51 / 61) for leak in near)
    assert len(near) >= 195
    assert len(found) == 200  # what the bands miss has runs of thirteen words in common


def test_below_the_threshold_is_no_near_duplicate() -> None:
    chance = random.Random(1)
    seen = [text(chance, 40)]
    words = seen[0].split()
    for at in range(0, 40, 10):
        words[at + 5] = "other"
    assert find_leaks(seen, [" ".join(words)]) == ()


def test_runs_of_thirteen_words_are_found_with_their_share() -> None:
    chance = random.Random(2)
    seen = [text(chance, 50) for _ in range(40)]
    long = f"{text(chance, 20)} {' '.join(seen[7].split()[10:24])} {text(chance, 20)}"
    twelve = f"{text(chance, 20)} {' '.join(seen[7].split()[10:22])} {text(chance, 20)}"
    runs = 54 - 13 + 1
    assert find_leaks(seen, [twelve, long]) == (Leak(1, 7, "overlap", 2 / runs),)
    assert find_leaks(seen, [twelve], ngram=12) != ()


def test_short_texts_are_looked_for_whole_down_to_a_floor() -> None:
    seen = ["hello i would like to know how do i reset my own password please thank you all"]
    whole, floor = "How do I reset my own password, please?", "do I reset my own password please"
    assert [leak.kind for leak in find_leaks(seen, [whole])] == ["overlap"]
    assert find_leaks(seen, [floor]) == ()


def test_a_form_that_all_rows_share_is_no_leak() -> None:
    chance = random.Random(3)
    form = "please read the following message of a customer and answer it in one short and friendly sentence now"
    seen = [f"{form} {text(chance, 30)}" for _ in range(200)]
    assert find_leaks(seen, [f"{form} {text(chance, 30)}" for _ in range(50)]) == ()
    passage = text(chance, 30)
    seen[:15] = [f"{passage} {text(chance, 20)}" for _ in range(15)]  # fifteen questions on one passage are no form
    assert find_leaks(seen, [f"{passage} {text(chance, 20)}"]) != ()


def test_texts_that_share_nothing_do_not_leak() -> None:
    """Negative control: random texts from one vocabulary."""
    chance = random.Random(4)
    assert find_leaks([text(chance, 40) for _ in range(2_000)], [text(chance, 40) for _ in range(500)]) == ()


def test_the_same_search_finds_the_same_and_in_parts_as_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(5)
    seen = [text(chance, chance.randint(5, 60)) for _ in range(300)]
    unseen = [seen[at] + " and more" for at in range(0, 300, 3)] + [text(chance, 30) for _ in range(20)]
    whole = find_leaks(seen, unseen)
    assert whole == find_leaks(seen, unseen)
    monkeypatch.setattr(shingles, "_WORDS_AT_ONCE", 500)
    assert {leak.unseen for leak in find_leaks(seen, unseen)} == {leak.unseen for leak in whole}
    assert all(leak.seen == 3 * leak.unseen for leak in whole)


@given(
    st.lists(st.text("ab c.", max_size=12), max_size=8),
    st.lists(st.text("ab c.", max_size=12), max_size=8),
)
def test_exact_leaks_are_those_of_a_naive_search(seen: list[str], unseen: list[str]) -> None:
    forms = [normal_form(one) for one in seen]
    expected = {at for at, one in enumerate(unseen) if normal_form(one) and normal_form(one) in forms}
    assert {leak.unseen for leak in find_leaks(seen, unseen) if leak.kind == "exact"} == expected


@given(st.lists(st.text("abcdefg ", max_size=60), max_size=6), st.integers(1, 9))
def test_windows_are_those_of_a_naive_search(texts: list[str], size: int) -> None:
    encoded = Vocabulary().encode(texts)
    hashes, owners = windows(encoded, size)
    naive = [
        (tuple(one.split()[start : start + size]), at)
        for at, one in enumerate(texts)
        for start in range(len(one.split()) - size + 1)
    ]
    assert owners.tolist() == [at for _, at in naive]
    names: dict[tuple[str, ...], int] = {}
    for (run, _), number in zip(naive, hashes.tolist(), strict=True):
        assert names.setdefault(run, number) == number
    assert len(set(names.values())) == len(names)


def test_signatures_estimate_the_exact_index() -> None:
    chance = random.Random(6)
    one = text(chance, 200)
    other = " ".join([*one.split()[:150], *text(chance, 50).split()])
    encoded = Vocabulary().encode([one, other])
    marks = signatures(encoded, seed=0)
    exact = jaccard(*(shingles.shingles(encoded, at, likeness.SHINGLE) for at in (0, 1)))
    assert float((marks[0] == marks[1]).mean()) == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 126) ** 0.5)


def test_a_row_is_the_texts_of_its_columns() -> None:
    chat: list[object] = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert (
        row_text({"a": "x", "b": None, "c": 3, "d": chat}, ("a", "b", "c", "d")) == "x\n3\nuser\nHi\nassistant\nHello"
    )
    assert plain_words("What's 3 - 5?") == ["what", "s", "3", "-", "5"]


@pytest.mark.parametrize("settings", [{"ngram": 7}, {"near": 0.0}, {"near": 1.1}])
def test_settings_that_find_everything_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        find_leaks(["a"], ["b"], **settings)  # type: ignore[arg-type]
