"""Episodes with several references and several views, against a slow version."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
import pytest

from calibration.episodes import LabelledEmbeddings, Scores, across, most_labels, within

Take = tuple[str, str, int]  # person, label, number of the recording
Call = tuple[list[int], list[int]]  # rows of the queries and of the references


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a @ b.T


def recorded(takes: dict[Take, list[float]], seed: int = 0) -> LabelledEmbeddings:
    """Pictures of recordings, at so many seconds from each one's start, in no order."""
    rows = [(take, t) for take, times in takes.items() for t in times]
    rng = np.random.default_rng(seed)
    rows = [rows[i] for i in rng.permutation(len(rows))]
    vectors = rng.normal(size=(len(rows), 4)).astype(np.float32)
    centres = {label: rng.normal(size=4) for label in sorted({take[1] for take, _ in rows})}
    vectors += np.array([centres[take[1]] for take, _ in rows], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    start = {take: 1000.0 * i for i, take in enumerate(takes)}
    return LabelledEmbeddings(
        vectors,
        np.array([take[1] for take, _ in rows]),
        np.array([take[0] for take, _ in rows]),
        np.array([start[take] + t for take, t in rows]),
    )


def seconds(data: LabelledEmbeddings) -> np.ndarray:
    assert data.times is not None
    return data.times


def asked(
    data: LabelledEmbeddings, episodes: Callable[..., Scores], **options: int | None
) -> tuple[Scores, list[Call]]:
    """The scores, and which rows were compared."""
    places = {vector.tobytes(): i for i, vector in enumerate(data.embeddings)}
    calls: list[Call] = []

    def spy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        asked, compared = ([places[v.tobytes()] for v in rows] for rows in (a, b))
        calls.append((asked, compared))
        return cosine(a, b)

    return episodes(data, spy, **options), calls


def steps(count: int, every: float) -> list[float]:
    return [i * every for i in range(count)]


LONG, SHORT = steps(90, 0.4), steps(20, 1 / 30)
# Two recordings of "a"; too few pictures of "z" for any showing of three views.
TAKES: dict[Take, list[float]] = {
    **{("ann", label, 0): LONG for label in "abc"},
    ("ann", "a", 1): SHORT,
    ("ann", "z", 0): [0.0, 0.4],
    **{("bea", label, 0): SHORT for label in "abcd"},
}


def slow_scores(data: LabelledEmbeddings, calls: list[Call]) -> list[tuple]:
    rows = []
    for queries, references in calls:
        for q in queries:
            best: dict[str, float] = {}
            for r in references:
                label = str(data.labels[r])
                alike = float(data.embeddings[q] @ data.embeddings[r])
                best[label] = max(best.get(label, -2.0), alike)
            ranked = sorted(best, key=lambda label: -best[label])
            margin = 1 - (1 - best[ranked[0]]) / (1 - best[ranked[1]])
            own = str(data.labels[q])
            rows.append((best[ranked[0]], margin, ranked[0] == own, own in best))
    return rows


def check_scores(got: Scores, data: LabelledEmbeddings, calls: list[Call]) -> None:
    best, margin, correct, known = zip(*slow_scores(data, calls), strict=True)
    np.testing.assert_allclose(got.best, best, atol=2e-5)
    np.testing.assert_allclose(got.margin, margin, atol=2e-5)
    assert list(got.correct) == list(correct) and list(got.known) == list(known)


def showings_of(calls: list[Call], shots: int, views: int) -> list[list[list[list[int]]]]:
    """Of each call the references: by label, by shot, rows."""
    return [np.array(refs).reshape(-1, shots, views).tolist() for _, refs in calls]


@pytest.mark.parametrize("known", [None, 2])
@pytest.mark.parametrize(("shots", "views"), [(1, 1), (1, 3), (1, 5), (2, 1), (2, 3)])
def test_recordings_within_a_person(shots: int, views: int, known: int | None) -> None:
    data = recorded(TAKES)
    takes = list(TAKES)
    take = {i: takes[int(seconds(data)[i] // 1000)] for i in range(len(data))}
    got, calls = asked(data, within, shots=shots, views=views, known=known, draws=6)
    check_scores(got, data, calls)
    # Bea's recordings last less than a second: they have room for one reference, and no query
    # of a recorded label.
    assert {cell.split("/")[0] for cell in got.cell[got.known]} == {"ann"}
    for (queries, references), labels in zip(calls, showings_of(calls, shots, views), strict=True):
        person = {data.subjects[r] for r in references}
        assert len(person) == 1 and {data.subjects[q] for q in queries} <= person
        names = [{data.labels[r] for shot in label for r in shot} for label in labels]
        assert all(len(name) == 1 for name in names) and len({*map(tuple, names)}) == len(names)
        assert known is None or len(names) == known
        for label in labels:
            for shot in label:
                at = [seconds(data)[r] for r in shot]
                assert len({take[r] for r in shot}) == 1 and len(set(shot)) == views
                assert at == sorted(at) and at[-1] - at[0] <= 2 + 1e-9
            for a, b in itertools.combinations(label, 2):
                assert (
                    min(abs(seconds(data)[i] - seconds(data)[j]) for i in a for j in b) >= 5 - 1e-9
                )
        enough = {"a", "b", "c"} | ({"z"} if shots == views == 1 else set())
        expected = {
            q
            for q in range(len(data))
            if {data.subjects[q]} == person
            and data.labels[q] in (enough if person == {"ann"} else set("abcd"))
            and not any(
                take[q] == take[shot[0]]
                and seconds(data)[shot[0]] - 5 < seconds(data)[q] < seconds(data)[shot[-1]] + 5
                for label in labels
                for shot in label
            )
        }
        assert set(queries) == expected


def test_recordings_across_people() -> None:
    data = recorded(TAKES)
    got, calls = asked(data, across, views=3, draws=6)
    check_scores(got, data, calls)
    for queries, references in calls:
        asker, teacher = ({data.subjects[i] for i in rows} for rows in (queries, references))
        assert len(asker) == len(teacher) == 1 and asker != teacher
        assert {data.labels[r] for r in references} == {"a", "b", "c"}
        mine = data.subjects == asker.pop()
        assert set(queries) == {*np.flatnonzero(mine & np.isin(data.labels, ["a", "b", "c"]))}
    assert len(calls) == 12


def test_a_showing_is_spread_over_two_seconds_or_over_a_shorter_recording() -> None:
    long = recorded({("ann", label, 0): steps(300, 1 / 30) for label in "ab"})
    _, calls = asked(long, within, views=5, draws=50)
    seen = set()
    for label in itertools.chain(*showings_of(calls, 1, 5)):
        at = seconds(long)[label[0]]
        np.testing.assert_allclose(np.diff(at), 0.5, atol=1e-6)
        seen.add(float(at[0]))
    assert len(seen) > 50, "it begins anywhere"
    short = recorded({(p, label, 0): SHORT for p in ("ann", "bea") for label in "ab"})
    _, calls = asked(short, across, views=3)
    for label in itertools.chain(*showings_of(calls, 1, 3)):
        at = seconds(short)[label[0]] % 1000
        np.testing.assert_allclose(at, [SHORT[0], SHORT[10], SHORT[-1]], atol=0.02)
        assert (at[0], at[-1]) == (SHORT[0], pytest.approx(SHORT[-1]))


def photographs(counts: dict[str, dict[str, int]], seed: int = 0) -> LabelledEmbeddings:
    takes = {
        (p, label, 0): steps(n, 1.0) for p, each in counts.items() for label, n in each.items()
    }
    return dataclasses.replace(recorded(takes, seed), times=None)


@pytest.mark.parametrize("known", [None, 2])
def test_several_photographs_of_a_label(known: int | None) -> None:
    counts = {"ann": {"a": 4, "b": 3, "c": 7, "d": 2}, "bea": {"a": 3, "b": 9, "c": 2}}
    data = photographs(counts)
    for episodes in (within, across):
        got, calls = asked(data, episodes, shots=3, known=known, draws=30)
        check_scores(got, data, calls)
        drawn: dict[str, list[frozenset[int]]] = {}
        for queries, references in calls:
            person = str(data.subjects[references[0]])
            enough = {label for label, count in counts[person].items() if count >= 3}
            names = [str(data.labels[r]) for r in references]
            assert len(set(references)) == len(references) == 3 * len(set(names))
            assert all(names.count(name) == 3 for name in names) and {*names} <= enough
            assert {*names} == enough or known is not None
            asker = person if episodes is within else "bea" if person == "ann" else "ann"
            mine = {
                i
                for i in range(len(data))
                if data.subjects[i] == asker and data.labels[i] in enough
            }
            assert {*queries} == mine - {*references}
            drawn.setdefault(person, []).append(frozenset(references))
        # bea has two labels with three pictures, which are too few to have some recorded of
        assert drawn.keys() == ({"ann", "bea"} if known is None else {"ann"})
        assert len(set(drawn["ann"])) > 15, "the draws differ"


def test_every_photograph_is_as_likely_a_reference() -> None:
    data = photographs({"ann": {"a": 6, "b": 6}})
    _, calls = asked(data, within, shots=3, draws=2000)
    times = np.bincount([r for _, references in calls for r in references], minlength=12)
    assert times == pytest.approx(np.full(12, 1000), abs=5 * np.sqrt(2000 / 4))


def test_photographs_are_no_views_of_one_showing() -> None:
    data = photographs({"ann": {"a": 9, "b": 9}, "bea": {"a": 9, "b": 9}})
    assert len(within(data, cosine, views=2)) == len(across(data, cosine, views=2)) == 0
    sparse = dataclasses.replace(data, times=np.arange(len(data)) * 10.0)
    assert len(within(sparse, cosine, views=2)) == 0 < len(within(sparse, cosine))


def test_where_everybody_has_one_picture_each_reference_is_somebody_elses() -> None:
    labels = np.repeat([*"abc"], 4)
    base = photographs({"x": {"a": 4, "b": 4, "c": 4}})
    data = dataclasses.replace(
        base, labels=labels, subjects=np.array([f"p{i}" for i in range(len(labels))])
    )
    for shots, known in ((1, None), (2, None), (1, 2)):
        got, calls = asked(data, across, shots=shots, known=known, draws=10)
        check_scores(got, data, calls)
        for queries, references in calls:
            assert {*queries} == {*range(12)} - {*references}
            assert len(references) == shots * (known or 3)
    assert set(got.cell) == {"p0 and others/a", "p0 and others/b", "p0 and others/c"}
    assert most_labels(data) == 3 == most_labels(base)


def test_where_everybody_has_one_picture_nobody_shows_several_views() -> None:
    takes: dict[Take, list[float]] = {(f"p{i}", "ab"[i % 2], 0): [0.0] for i in range(12)}
    data = recorded(takes)
    assert len(across(data, cosine, draws=3)) and not len(across(data, cosine, draws=3, views=5))
