"""A list of pairs of faces split for validation, with nobody in both parts."""

from __future__ import annotations

from collections import deque

import numpy as np

from engines.errors import UserError
from train.siamese.pair_lists import PairList
from train.siamese.splits import check_share


def split_people(pair_list: PairList, share: float, seed: int) -> tuple[PairList, PairList, int]:
    """Training, validation (about `share` of the pairs kept, such as 0.1), and how many were lost.

    Both parts hold as many same-person as different-person pairs. Lost are the different-person
    pairs that straddle the parts, and then, by chance, those of the kind that is more frequent in
    a part. The same seed gives the same split.

    Raises UserError for a share outside 0 … 1, and for people too few or too entangled to leave
    pairs of both kinds in both parts.
    """
    check_share(share)
    rng = np.random.default_rng(seed)
    pairs = pair_list.pairs
    names, person = np.unique(pair_list.people, return_inverse=True)
    one, other = person[pairs.first], person[pairs.second]
    rank = np.argsort(_walk(rng, one, other, len(names)))
    earlier, later = np.minimum(rank[one], rank[other]), np.maximum(rank[one], rank[other])

    # For every k: how many pairs of each kind lie whole among the first k people, or after them.
    def balanced(ends: np.ndarray) -> np.ndarray:
        kinds = [np.bincount(ends[pairs.same == kind], minlength=len(names)) for kind in (0, 1)]
        return np.minimum(*(np.concatenate([[0], np.cumsum(kind)]) for kind in kinds))

    before, after = balanced(later), balanced(len(names) - 1 - earlier)[::-1]
    size = int(np.argmax(np.minimum(before / share, after / (1 - share))))
    if not before[size] or not after[size]:
        raise UserError(
            f"The {len(names)} people of {pair_list.path} can't be split for validation with pairs "
            "of both kinds in both parts: use a longer list."
        )
    train = _balanced(rng, pairs.same, earlier >= size)
    validation = _balanced(rng, pairs.same, later < size)
    lost = len(pairs) - len(train) - len(validation)
    return pair_list.take(train), pair_list.take(validation), lost


def _walk(rng: np.random.Generator, one: np.ndarray, other: np.ndarray, count: int) -> np.ndarray:
    """An order of the people, from random ones to those they are paired with and on: cut anywhere,
    few pairs straddle."""
    near: list[list[int]] = [[] for _ in range(count)]
    for a, b in zip(one.tolist(), other.tolist(), strict=True):
        near[a].append(b)
        near[b].append(a)
    order: list[int] = []
    seen = np.zeros(count, bool)
    for start in rng.permutation(count).tolist():
        queue = deque([start])
        while queue:
            next_one = queue.popleft()
            if not seen[next_one]:
                seen[next_one] = True
                order.append(next_one)
                queue.extend(near[next_one])
    return np.array(order)


def _balanced(rng: np.random.Generator, same: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Rows of a part, bool (P,), as many same as different, in their order."""
    kinds = [rng.permutation(np.flatnonzero(part & (same == kind))) for kind in (False, True)]
    count = min(map(len, kinds))
    return np.sort(np.concatenate([kind[:count] for kind in kinds]))
