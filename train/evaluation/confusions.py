"""The gestures that an encoder confuses most often."""

from __future__ import annotations

from collections import Counter

import numpy as np

from calibration.episodes import LabelledEmbeddings


def count_confusions(
    data: LabelledEmbeddings, draws: int = 20, seed: int = 0
) -> list[tuple[str, str, float]]:
    """Count confusions in one-shot recognition by the cosine of unit embeddings.

    Args:
        data: The embeddings.
        draws: Draws of references per person: one per label, of another person if there is one.
        seed: Seed of the draws.

    Returns:
        (shown label, recognised label, share of the shown label's queries), most frequent first.
    """
    rng = np.random.default_rng(seed)
    people = np.unique(data.subjects)
    taken: Counter[tuple[str, str]] = Counter()
    shown: Counter[str] = Counter()
    for _ in range(draws):
        for person in people:
            others = people[people != person]
            teacher = rng.choice(others) if len(others) else person
            rows = np.flatnonzero(data.subjects == teacher)
            names = np.unique(data.labels[rows])
            references = np.array([rng.choice(rows[data.labels[rows] == n]) for n in names])
            queries = np.flatnonzero((data.subjects == person) & np.isin(data.labels, names))
            queries = np.setdiff1d(queries, references)
            nearest = (data.embeddings[queries] @ data.embeddings[references].T).argmax(1)
            shown.update(data.labels[queries].tolist())
            taken.update(zip(data.labels[queries].tolist(), names[nearest].tolist(), strict=True))
    shares = [(a, b, count / shown[a]) for (a, b), count in taken.items() if a != b]
    return sorted(shares, key=lambda item: -item[2])
