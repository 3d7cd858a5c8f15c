"""Which pictures each class has: built once, drawn from many times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.errors import UserError


@dataclass(frozen=True)
class ClassIndex:
    """C classes of N pictures.

    rows int64 (N,): picture numbers, class after class; starts, counts int64 (C,): where a class
    lies in rows; group_starts, group_counts int64 (C,): which run of classes is the class's group,
    itself included.
    """

    rows: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    group_starts: np.ndarray
    group_counts: np.ndarray


def index_classes(labels: np.ndarray, groups: np.ndarray | None = None) -> ClassIndex:
    """str (N,) twice. groups: two classes are told apart only within one; None: all are one.

    Raises UserError for a class with one picture, which has no match, and for a group with one
    class, which has no rival.
    """
    if groups is None:
        groups = np.full(len(labels), "")
    group_names, group_of = np.unique(groups, return_inverse=True)
    class_names, class_of = np.unique(labels, return_inverse=True)
    if len(class_names) < 2:
        raise UserError(f"Pairs need at least two classes, but there are {len(class_names)}.")
    order = np.lexsort((class_of, group_of))  # stable: within a class as they came
    first = np.flatnonzero(np.diff(class_of[order], prepend=-1))
    if len(first) > len(class_names):  # a class came back in a later group
        names, times = np.unique(class_of[order][first], return_counts=True)
        name = class_names[names[times > 1][0]]
        raise UserError(f"The class {name} is in several groups: give it a name in each.")
    counts = np.diff(first, append=len(labels))
    if (counts < 2).any():
        name = class_names[class_of[order][first[counts < 2][0]]]
        raise UserError(f"The class {name} has one picture: pairs need at least two. Add one, or "
                        "leave the class out.")  # fmt: skip
    home = group_of[order][first]
    sizes = np.bincount(home)
    if (sizes < 2).any():
        at = np.flatnonzero(sizes < 2)[0]
        name = class_names[class_of[order][first[home == at][0]]]
        raise UserError(f"The group {group_names[at]} has one class, {name}: nothing in it is "
                        "different. Add classes, or leave the group out.")  # fmt: skip
    group_starts = np.cumsum(sizes) - sizes
    return ClassIndex(order, first, counts, group_starts[home], sizes[home])


def places(labels: np.ndarray) -> np.ndarray:
    """str (N,) → int64 (N,): for each picture how many of its class came before it."""
    order = np.argsort(labels, kind="stable")
    first = np.searchsorted(labels[order], labels[order])
    found = np.empty(len(labels), np.int64)
    found[order] = np.arange(len(labels)) - first
    return found
