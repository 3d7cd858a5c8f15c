"""Split a list of pairs of faces into training and validation with nobody in both."""

from __future__ import annotations

from collections import deque

import numpy as np

from engines.errors import UserError
from train.siamese.pair_lists import PairList
from train.siamese.splits import check_share


def split_people(pair_list: PairList, share: float, seed: int) -> tuple[PairList, PairList, int]:
    """Split a list by people.

    Each part holds as many same-person as different-person pairs. Pairs are lost in two ways:
    different-person pairs whose people are in different parts, and random pairs of the kind that is
    more frequent in a part.

    Args:
        pair_list: The list.
        share: Share of validation among the pairs that are kept, 0…1.
        seed: The same seed gives the same split.

    Returns:
        The training list, the validation list, and the number of lost pairs.

    Raises:
        UserError: The share is outside 0…1, or the people are too few or too connected to leave
            pairs of both kinds in both parts.
    """
    check_share(share)
    rng = np.random.default_rng(seed)
    pairs = pair_list.pairs
    names, person = np.unique(pair_list.people, return_inverse=True)
    one, other = person[pairs.first], person[pairs.second]
    rank = np.argsort(_order_people(rng, one, other, len(names)))
    earlier, later = np.minimum(rank[one], rank[other]), np.maximum(rank[one], rank[other])

    # For every k: how many pairs lie entirely among the first k people, or after them. The count
    # is that of the less frequent kind.
    def count_balanced(ends: np.ndarray) -> np.ndarray:
        kinds = [np.bincount(ends[pairs.same == kind], minlength=len(names)) for kind in (0, 1)]
        return np.minimum(*(np.concatenate([[0], np.cumsum(kind)]) for kind in kinds))

    before, after = count_balanced(later), count_balanced(len(names) - 1 - earlier)[::-1]
    size = int(np.argmax(np.minimum(before / share, after / (1 - share))))
    if not before[size] or not after[size]:
        raise UserError(
            f"The {len(names)} people of {pair_list.path} can't be split for validation with pairs "
            "of both kinds in both parts: use a longer list."
        )
    train = _balance(rng, pairs.same, earlier >= size)
    validation = _balance(rng, pairs.same, later < size)
    lost = len(pairs) - len(train) - len(validation)
    return pair_list.take(train), pair_list.take(validation), lost


def _order_people(
    rng: np.random.Generator, one: np.ndarray, other: np.ndarray, count: int
) -> np.ndarray:
    """Order the people by breadth-first search from random ones along their pairs.

    Wherever such an order is cut, few pairs have people on both sides.
    """
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


def _balance(rng: np.random.Generator, same: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Draw rows of a part, bool (P,), as many of each kind, and keep their order."""
    kinds = [rng.permutation(np.flatnonzero(part & (same == kind))) for kind in (False, True)]
    count = min(map(len, kinds))
    return np.sort(np.concatenate([kind[:count] for kind in kinds]))
