"""Which hands stand in a batch, and the loss over a batch against its formula in slow Python."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.encoder.batches import draw_batch, draw_pair_batch, index_hands

HAND = st.tuples(st.sampled_from("xy"), st.sampled_from("ABCD"), st.sampled_from("pqr"))
HANDS = st.lists(HAND, min_size=1, max_size=60)
COMPARABLE = [("x", "A", "p"), ("x", "A", "q"), ("x", "B", "p"), ("x", "B", "p")]
SEED = st.integers(0, 2**32 - 1)


def columns(hands: list[tuple[str, str, str]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """alphabets, labels, subjects."""
    alphabets, labels, subjects = (np.array(column) for column in zip(*hands, strict=True))
    return alphabets, labels, subjects


def usable(hands: list[tuple[str, str, str]]) -> dict[str, set[str]]:
    """Alphabet → its labels with two pictures, of alphabets with two such labels."""
    counts = Counter((alphabet, label) for alphabet, label, _ in hands)
    found: dict[str, set[str]] = defaultdict(set)
    for (alphabet, label), count in counts.items():
        if count > 1:
            found[alphabet].add(label)
    return {alphabet: labels for alphabet, labels in found.items() if len(labels) > 1}


@given(HANDS)
def test_the_index_has_each_hand_that_has_a_match_and_a_rival(hands) -> None:
    index = index_hands(*columns(hands))
    seen: dict[str, set[str]] = {}
    rows = []
    for alphabet in index.alphabets:
        for people in alphabet:
            for theirs in people:
                assert len({hands[row] for row in theirs}) == 1
            ((name, label),) = {hands[row][:2] for theirs in people for row in theirs}
            assert label not in seen.setdefault(name, set())
            seen[name].add(label)
            rows += [row for theirs in people for row in theirs]
    assert seen == usable(hands)
    wanted = [i for i, hand in enumerate(hands) if hand[1] in seen.get(hand[0], set())]
    assert sorted(rows) == wanted
    assert len(index.shares) == len(seen) and math.isclose(sum(index.shares), bool(seen))


@given(HANDS, SEED, st.integers(1, 5), st.integers(2, 6))
def test_a_batch_is_of_one_alphabet_and_of_many_people(hands, seed, labels, per_label) -> None:
    hands = hands + COMPARABLE
    there = usable(hands)
    index = index_hands(*columns(hands))
    rows, numbers = draw_batch(np.random.default_rng(seed), index, labels, per_label)
    (alphabet,) = {hands[row][0] for row in rows}
    groups = [rows[numbers == number] for number in np.unique(numbers)]
    assert len(groups) == min(labels, len(there[alphabet]))
    drawn = [{hands[row][1] for row in group} for group in groups]
    assert all(len(names) == 1 for names in drawn)  # one number, one label,
    assert len(set.union(*drawn)) == len(groups) and set.union(*drawn) <= there[alphabet]
    for group, (label,) in zip(groups, drawn, strict=True):
        assert len(group) == per_label
        people = {hand[2] for hand in hands if hand[:2] == (alphabet, label)}
        shown = Counter(hands[row][2] for row in group)
        assert len(shown) == min(per_label, len(people))
        assert max(shown.values()) - min(shown[person] for person in shown) <= 1
    again = draw_batch(np.random.default_rng(seed), index, labels, per_label)
    assert np.array_equal(rows, again[0]) and np.array_equal(numbers, again[1])


def test_other_seeds_draw_other_hands() -> None:
    hands = [("x", label, person) for label in "ABCD" for person in "pqr" for _ in range(9)]
    index = index_hands(*columns(hands))
    drawn = {tuple(draw_batch(np.random.default_rng(seed), index, 3, 4)[0]) for seed in range(20)}
    assert len(drawn) == 20


def test_an_alphabets_turn_comes_as_the_root_of_its_size() -> None:
    hands = [("x", "AB"[i % 2], "p") for i in range(900)]
    hands += [("y", "AB"[i % 2], "p") for i in range(100)] + [("y", "C", "p")]
    index = index_hands(*columns(hands))
    assert np.allclose(index.shares, [0.75, 0.25])
    rng = np.random.default_rng(0)
    first = [draw_batch(rng, index, 2, 2)[0][0] < 900 for _ in range(1000)]
    assert abs(np.mean(first) - 0.75) < 0.05


def test_nothing_comparable_leaves_an_empty_index() -> None:
    index = index_hands(
        *columns([("x", "A", "p"), ("x", "A", "q"), ("y", "A", "p"), ("y", "B", "p")])
    )
    assert index.alphabets == [] and len(index.shares) == 0


@given(st.lists(st.integers(0, 9), max_size=50), SEED, st.integers(1, 6))
def test_pairs_come_together(labels, seed, pairs) -> None:
    labels = np.array([*labels, 4, 4, 5, 5])
    counts = Counter(labels.tolist())
    both = [i for i in range(5) if counts[2 * i] > 1 and counts[2 * i + 1] > 1]
    rows, numbers = draw_pair_batch(np.random.default_rng(seed), labels, pairs, 4)
    assert np.array_equal(labels[rows], numbers)
    assert len(set(rows.tolist())) == len(rows)
    drawn = Counter(numbers.tolist())
    assert {number // 2 for number in drawn} <= set(both)
    assert len(drawn) == 2 * min(pairs, len(both))  # each with its partner
    assert all(count == min(4, counts[number]) for number, count in drawn.items())
    again = draw_pair_batch(np.random.default_rng(seed), labels, pairs, 4)
    assert np.array_equal(rows, again[0]) and np.array_equal(numbers, again[1])


def slow_loss(rows: list[list[float]], labels: list[int], temperature: float) -> float:
    """Khosla et al. (2020), equation 2: the mean over all anchors of the mean over their
    positives of −log softmax."""

    def alike(i: int, j: int) -> float:
        return sum(a * b for a, b in zip(rows[i], rows[j], strict=True)) / temperature

    total = 0.0
    for i in range(len(rows)):
        others = [j for j in range(len(rows)) if j != i]
        positives = [j for j in others if labels[j] == labels[i]]
        whole = sum(math.exp(alike(i, j)) for j in others)
        total -= sum(math.log(math.exp(alike(i, p)) / whole) for p in positives) / len(positives)
    return total / len(rows)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [("float64", 1e-9), ("float32", 1e-5), ("float16", 5e-3), ("bfloat16", 4e-2)],
)
def test_the_loss_is_the_papers(kind: str, tolerance: float, temperature: float) -> None:
    reason = "training needs requirements-train.txt"
    torch = pytest.importorskip("torch", reason=reason)
    losses = pytest.importorskip("pytorch_metric_learning.losses", reason=reason)
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 3, 3, 3, 3])  # classes of two, three and four
    rows = torch.randn(len(labels), 6, generator=generator, dtype=torch.float64)
    rows += 1.5 * torch.eye(6, dtype=torch.float64)[labels]
    rows = torch.nn.functional.normalize(rows, dim=1).to(getattr(torch, kind))
    expected = slow_loss(rows.double().tolist(), labels.tolist(), temperature)
    found = losses.SupConLoss(temperature=temperature)(rows, labels).item()
    assert 0.5 < expected and abs(found - expected) < tolerance * expected
