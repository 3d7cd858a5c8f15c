"""An index of the pictures of each class, built once and drawn from many times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.errors import UserError


@dataclass(frozen=True)
class ClassIndex:
    """C classes of N pictures; classes of one group are consecutive.

    Attributes:
        rows: int64 (N,), numbers of the pictures, class by class.
        starts: int64 (C,), where each class begins in `rows`.
        counts: int64 (C,), pictures of each class.
        group_starts: int64 (C,), the first class of each class's group.
        group_counts: int64 (C,), classes of each class's group, itself included.
    """

    rows: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    group_starts: np.ndarray
    group_counts: np.ndarray


def index_classes(labels: np.ndarray, groups: np.ndarray | None = None) -> ClassIndex:
    """Index pictures by class.

    Args:
        labels: str (N,), the classes.
        groups: str (N,); pairs of different classes are drawn within a group. None: one group.

    Raises:
        UserError: A class has only one picture, a group only one class, or a class is in two
            groups.
    """
    if groups is None:
        groups = np.full(len(labels), "")
    group_names, group_of = np.unique(groups, return_inverse=True)
    class_names, class_of = np.unique(labels, return_inverse=True)
    if len(class_names) < 2:
        raise UserError(f"Pairs need at least two classes, but there are {len(class_names)}.")
    order = np.lexsort((class_of, group_of))  # stable: keeps the order within a class
    first = np.flatnonzero(np.diff(class_of[order], prepend=-1))
    if len(first) > len(class_names):  # a class occurs in several groups
        names, times = np.unique(class_of[order][first], return_counts=True)
        name = class_names[names[times > 1][0]]
        raise UserError(f"The class {name} is in several groups: give it a name in each.")
    counts = np.diff(first, append=len(labels))
    if (counts < 2).any():
        name = class_names[class_of[order][first[counts < 2][0]]]
        raise UserError(
            f"The class {name} has one picture: pairs need at least two. Add one, or leave the "
            "class out."
        )
    home = group_of[order][first]
    sizes = np.bincount(home)
    if (sizes < 2).any():
        at = np.flatnonzero(sizes < 2)[0]
        name = class_names[class_of[order][first[home == at][0]]]
        raise UserError(
            f"The group {group_names[at]} has one class, {name}: nothing in it is different. Add "
            "classes, or leave the group out."
        )
    group_starts = np.cumsum(sizes) - sizes
    return ClassIndex(order, first, counts, group_starts[home], sizes[home])


def rank_within_class(labels: np.ndarray) -> np.ndarray:
    """Count, for each picture of labels str (N,), the earlier pictures of its class: int64 (N,)."""
    order = np.argsort(labels, kind="stable")
    first = np.searchsorted(labels[order], labels[order])
    found = np.empty(len(labels), np.int64)
    found[order] = np.arange(len(labels)) - first
    return found
