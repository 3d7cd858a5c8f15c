"""One-shot episodes: fairly drawn, and counted right."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="training needs requirements-train.txt")

import torch
from torch import Tensor

from engines.errors import UserError
from tests.train.siamese.tasks import Brightness
from train.siamese import episodes as module
from train.siamese.episodes import (
    Episodes,
    Share,
    accuracy_on_features,
    accuracy_on_pictures,
    compute_features,
    draw_episodes,
    right_answers,
    share,
    to_input,
)
from train.siamese.networks import SiameseNetwork

Z = 1.959964


# -- intervals --


@settings(deadline=None)
@given(st.integers(1, 3000), st.data())
def test_the_interval_holds_the_shares_that_fit(trials: int, data: st.DataObject) -> None:
    """Wilson's ends are where (p̂ − p)² = z² p (1 − p) / n: found here by halving."""
    right = data.draw(st.integers(0, trials))
    found = share(right, trials)
    p = right / trials

    def end(towards: float) -> float:
        near, far = p, towards  # the nearest fits, the farthest doesn't
        for _ in range(60):
            middle = (near + far) / 2
            fits = (p - middle) ** 2 <= Z**2 * middle * (1 - middle) / trials
            near, far = (middle, far) if fits else (near, middle)
        return (near + far) / 2

    assert found.value == p and found.trials == trials
    if 0 < right:
        assert found.low == pytest.approx(end(0.0), abs=1e-9)
    if right < trials:
        assert found.high == pytest.approx(end(1.0), abs=1e-9)
    assert 0 <= found.low <= found.value + 1e-12 and found.value - 1e-12 <= found.high <= 1


def test_known_intervals() -> None:
    for right, trials, low, high in (
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),
    ):
        found = share(right, trials)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
    assert str(Share(0.9, 0.85, 0.9349, 100)) == "90.0 % (85.0–93.5)"


@pytest.mark.parametrize("trials", [20, 250])
def test_the_interval_covers_the_truth_19_times_in_20(trials: int) -> None:
    """Exactly counted over the binomial's outcomes, averaged over true shares."""
    intervals = [share(right, trials) for right in range(trials + 1)]
    covered = []
    for truth in np.linspace(0.05, 0.95, 91):
        covered.append(
            sum(
                math.comb(trials, right) * truth**right * (1 - truth) ** (trials - right)
                for right, one in enumerate(intervals)
                if one.low <= truth <= one.high
            )
        )
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)
    assert min(covered) > 0.88


# -- drawing episodes --


@st.composite
def drawings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """labels, groups, and which may be asked and shown."""
    classes = draw(st.integers(2, 8))
    counts = draw(st.lists(st.integers(1, 4), min_size=classes, max_size=classes))
    homes = draw(st.lists(st.sampled_from("xy"), min_size=classes, max_size=classes))
    labels = np.repeat([f"c{i}" for i in range(classes)], counts)
    groups = np.repeat(homes, counts)
    mixed = np.random.default_rng(draw(st.integers(0, 99))).permutation(len(labels))
    masks = st.lists(st.booleans(), min_size=len(labels), max_size=len(labels))
    ask, show = (np.array(draw(masks)) for _ in range(2))
    return labels[mixed], groups[mixed], ask, show


@settings(deadline=None, max_examples=200)
@given(drawings(), st.integers(1, 5), st.booleans(), st.booleans(), st.integers(0, 9))
def test_every_episode_is_fair_or_there_are_too_few_classes(
    drawing, ways: int, within: bool, masked: bool, seed: int
) -> None:
    labels, groups, ask, show = drawing
    everything = np.ones(len(labels), bool)
    ask, show = (ask, show) if masked else (everything, everything)
    options = {
        "groups": groups if within else None,
        "queries": ask if masked else None,
        "supports": show if masked else None,
    }
    rows = range(len(labels))
    pools = groups if within else np.full(len(labels), "")
    possible = any(
        ask[q]
        and show[s]
        and q != s
        and labels[q] == labels[s]
        and len({str(labels[r]) for r in rows if show[r] and pools[r] == pools[q]}) >= ways
        for q, s in itertools.product(rows, rows)
    )
    if not possible:
        with pytest.raises(UserError, match=f"{ways}-way episodes need {ways} classes"):
            draw_episodes(seed, labels, ways, 20, **options)
        return
    drawn = draw_episodes(seed, labels, ways, 20, **options)
    assert drawn.queries.shape == (20,) and drawn.supports.shape == (20, ways)
    assert ask[drawn.queries].all() and show[drawn.supports].all()
    for query, shown in zip(drawn.queries, drawn.supports, strict=True):
        assert labels[shown[0]] == labels[query] and query not in shown
        assert len(set(labels[shown].tolist())) == ways
        assert not within or set(groups[shown].tolist()) == {str(groups[query])}
    again = draw_episodes(seed, labels, ways, 20, **options)
    assert np.array_equal(again.queries, drawn.queries)
    assert np.array_equal(again.supports, drawn.supports)


def test_another_seed_draws_other_episodes() -> None:
    labels = np.repeat([*"abcdefgh"], 5)
    one, other = (draw_episodes(seed, labels, 4, 30) for seed in (0, 1))
    assert not np.array_equal(one.queries, other.queries)
    assert not np.array_equal(one.supports, other.supports)


def test_every_picture_and_every_class_has_its_turn() -> None:
    """Classes evenly, however many pictures they have; so are those that they are told from."""
    labels = np.repeat([*"abcd"], [2, 4, 8, 2])
    drawn = draw_episodes(0, labels, 2, 4000)
    assert set(drawn.queries.tolist()) == set(drawn.supports.ravel().tolist()) == set(range(16))
    for column in (drawn.queries, drawn.supports[:, 1]):
        _, counts = np.unique(labels[column], return_counts=True)
        np.testing.assert_allclose(counts / 4000, 0.25, atol=0.035)  # five standard errors


def test_too_few_classes_are_told() -> None:
    labels, groups = np.repeat([*"abcde"], 2), np.repeat([*"xxxyy"], 2)
    with pytest.raises(UserError, match=r"4-way .* one group; the largest has 3\. Ask for fewer"):
        draw_episodes(0, labels, 4, 1, groups=groups)
    assert draw_episodes(0, labels, 3, 5, groups=groups).supports.max() < 6
    with pytest.raises(UserError, match="the largest has 5"):
        draw_episodes(0, labels, 6, 1)
    with pytest.raises(UserError, match="two pictures"):
        draw_episodes(0, np.array([*"abc"]), 2, 1)


# -- answers --


def test_pictures_are_read_in_pieces_without_dropout() -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 3), np.uint8)
    network = Brightness().train()
    found = compute_features(network, images, batch=3)
    assert network.batches == [3, 3, 1] and found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), images.reshape(7, 9)[:, :2], rtol=1e-6)
    assert not found.requires_grad


def test_pictures_are_scaled_as_the_live_program_scales_them() -> None:
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)[:, :, ::-1]
    found = to_input(images)
    assert found.shape == (1, 1, 16, 16) and found.dtype == torch.float32
    np.testing.assert_array_equal(found[0, 0].numpy(), images[0].astype(np.float32) / 255)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_right_answers_are_those_of_brute_force(seed: int, ways: int) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 6, (12, 2, 2), np.uint8)  # coarse, so that there are ties
    trials = Episodes(rng.integers(12, size=30), rng.integers(12, size=(30, ways)))
    values = images.reshape(12, 4)[:, :2].astype(int).tolist()

    def distance(a: int, b: int) -> int:
        return sum(abs(x - y) for x, y in zip(values[a], values[b], strict=True))

    expected = [
        all(distance(query, shown[0]) < distance(query, other) for other in shown[1:])
        for query, shown in zip(trials.queries.tolist(), trials.supports.tolist(), strict=True)
    ]
    features = torch.tensor(values, dtype=torch.float32)
    found = right_answers(Brightness(), features, trials)
    assert found.dtype == bool and found.tolist() == expected
    assert accuracy_on_features(Brightness(), features, trials) == share(sum(expected), 30)
    assert accuracy_on_pictures(Brightness(), images, trials) == share(sum(expected), 30)


def test_a_tie_is_wrong() -> None:
    features = torch.zeros(4, 2)
    features[3] = 9.0
    trials = Episodes(np.array([0, 0, 3]), np.array([[1, 2], [1, 3], [3, 0]]))
    assert right_answers(Brightness(), features, trials).tolist() == [False, True, True]


def test_only_what_is_asked_about_is_read_and_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    features = module.compute_features

    def counting(network: SiameseNetwork, images: np.ndarray, batch: int = 128) -> Tensor:
        read.append(len(images))
        return features(network, images, batch)

    monkeypatch.setattr(module, "compute_features", counting)
    images = np.random.default_rng(0).integers(0, 256, (50, 2, 2), np.uint8)
    accuracy_on_pictures(
        Brightness(), images, Episodes(np.array([3, 3, 5]), np.array([[7, 9]] * 3))
    )
    assert read == [4]
