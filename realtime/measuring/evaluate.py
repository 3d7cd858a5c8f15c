"""`run.py evaluate` and `run.py calibrate`: few-shot figures of an encoder on people's pictures."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration import fitting, metrics
from calibration.episodes import LabelledEmbeddings, Scores, across, most_labels, within
from calibration.metrics import Figure
from calibration.showings import APART_S
from calibration.threshold import GALLERY_SIZE, Calibration
from engines.encoder import Encoder, open_encoder
from engines.errors import UserError
from engines.similarity import similarity
from realtime.hands.detector import Detector
from realtime.measuring.folder import (
    embed_folder,
    label_embeddings,
    load_embeddings,
    subjects_and_labels,
)
from realtime.names import join_spellings, readable

FARS = (0.01, 0.05)
DRAWS = 60  # of references per person, for a calibration
NO_RECORDINGS = (
    "several views are frames of one recording; where the pictures are such, say with --fps how "
    "many numbers in their names make a second"
)


@dataclass(frozen=True)
class EvaluationReport:
    """Figures of encoders on people's pictures.

    Attributes:
        rows: Name of the figure → name of the encoder → figure.
        left_out: Which figures are missing, and why.
        pictures: Number of pictures.
        not_found: Label → number of pictures without a hand.
        subjects: Number of people.
        labels: Number of gestures.
    """

    rows: Mapping[str, Mapping[str, Figure]]
    left_out: list[str]
    pictures: int
    not_found: Mapping[str, int]
    subjects: int
    labels: int

    def to_json(self) -> dict[str, Any]:
        figures = {
            row: {name: [f.value, f.low, f.high] for name, f in by_encoder.items()}
            for row, by_encoder in self.rows.items()
        }
        return {
            "pictures": self.pictures,
            "subjects": self.subjects,
            "labels": self.labels,
            "not_found": sum(self.not_found.values()),
            "not_found_by_label": dict(self.not_found),
            "figures": figures,
            "left_out": self.left_out,
        }


def evaluate(
    folder: Path,
    references: Path | None,
    encoder: Encoder,
    open_detector: Callable[[], Detector],
    mirror_hands: bool = True,
    only: Sequence[str] | None = None,
    calibration: Calibration | None = None,
    shown: str = "right",
    shots: Sequence[int] = (1,),
    views: Sequence[int] = (1,),
    fps: float | None = None,
) -> EvaluationReport:
    """Compare an encoder with the landmark baseline on the same hands, episodes and draws.

    Args:
        folder: The folder of pictures.
        references: Another folder, whose people give the references; then figures are across
            people only.
        encoder: The encoder.
        open_detector: Opens a detector of single pictures.
        mirror_hands: Whether hands are cut as the one that `shown` names.
        only: Labels to use; None uses all.
        calibration: The encoder's calibration, to measure its threshold on these people.
        shown: "left" or "right"; a one-pass encoder sees either, others were made for right hands.
        shots: Numbers of references per label; the figures for one are always there.
        views: Numbers of pictures of one recording per reference; likewise.
        fps: Where the pictures are frames of recordings, how many numbers in their names make a
            second.

    Raises:
        UserError: A folder holds no pictures, or pictures lie outside a label's folder.
    """
    encoders = {encoder.spec.name: encoder}
    baseline = open_encoder("landmarks")
    if baseline.fingerprint != encoder.fingerprint:
        encoders[f"{baseline.spec.name} (baseline)"] = baseline
    used = list(encoders.values())
    embed = functools.partial(
        embed_folder,
        encoders=used,
        open_detector=open_detector,
        mirror_hands=mirror_hands,
        only=only,
        shown=shown,
        labelled=True,
    )
    hands, pool = embed(folder), embed(references) if references else None
    subjects, labels = subjects_and_labels(hands.paths)
    rows: dict[str, dict[str, Figure]] = {}
    left_out: dict[str, None] = {}  # an ordered set
    for i, (name, one) in enumerate(encoders.items()):
        queries = label_embeddings(hands, i, fps)
        alike = functools.partial(similarity, one.spec)
        modes: dict[str, Callable[..., Scores]] = {"within a person": within}
        modes["across people"] = across
        if pool is not None:
            queries, others = spelt_alike([queries, label_embeddings(pool, i, fps)])
            modes = {"across people": functools.partial(across, references=others)}
        own = calibration if one is encoder else None
        for mode, episodes in modes.items():
            found = [(mode, *each) for each in figures(queries, episodes, alike, own)]
            for several, counts in (("shots", shots), ("views", views)):
                for count in [count for count in counts if count > 1]:
                    named = f"{mode}, {count} {several}"
                    more = figures_of_several(queries, episodes, alike, own, several, count)
                    found += [(named, *each) for each in more]
            for named, row, figure in found:
                if isinstance(figure, str):
                    left_out[f"{named}, {row}: {figure}"] = None
                else:
                    rows.setdefault(f"{named}: {row}", {})[name] = figure
    missing = labels[~hands.found]
    return EvaluationReport(
        rows=rows,
        left_out=list(left_out),
        pictures=len(hands.paths),
        not_found={str(label): int((missing == label).sum()) for label in np.unique(missing)},
        subjects=len(np.unique(subjects)),
        labels=len(np.unique(labels)),
    )


def spelt_alike(parts: Sequence[LabelledEmbeddings]) -> list[LabelledEmbeddings]:
    """The same, with one spelling of each label over all parts."""
    labels = np.array(join_spellings([each for part in parts for each in part.labels], "label"))
    ends = np.cumsum([len(part) for part in parts])[:-1]
    each = zip(parts, np.split(labels, ends), strict=True)
    return [dataclasses.replace(part, labels=its) for part, its in each]


def figures(
    queries: LabelledEmbeddings,
    episodes: Callable[..., Scores],
    alike: Callable[[np.ndarray, np.ndarray], np.ndarray],
    calibration: Calibration | None,
) -> Iterator[tuple[str, Figure | str]]:
    """Compute the figures of one kind of episodes.

    Args:
        queries: The embeddings.
        episodes: `within`, `across` or alike.
        alike: Similarity of two sets of embeddings, (N, D) and (M, D) → (N, M).
        calibration: Whose threshold to measure, or None.

    Yields:
        The name of the figure, and the figure or why it is left out.
    """
    scores = episodes(queries, alike)
    if not len(scores):
        yield "all figures", _too_few(queries)
        return
    yield "one-shot accuracy, all labels", metrics.accuracy(scores)
    five_way = metrics.five_way_accuracy(scores)
    yield "one-shot accuracy, 5-way", five_way or "nobody shows five labels"
    yield from _open_set_figures(queries, episodes, alike, calibration, 1, FARS)


def figures_of_several(
    queries: LabelledEmbeddings,
    episodes: Callable[..., Scores],
    alike: Callable[[np.ndarray, np.ndarray], np.ndarray],
    calibration: Calibration | None,
    several: str,
    count: int,
) -> Iterator[tuple[str, Figure | str]]:
    """Compute the figures with several pictures of each label, see `figures`.

    Args:
        several: "shots" or "views".
        count: How many.
    """
    if several == "views" and queries.times is None:
        yield "all figures", NO_RECORDINGS
        return
    more = functools.partial(episodes, **{several: count})
    scores = more(queries, alike)
    if not scores.known.any():
        yield "all figures", f"{_too_few(queries)}, for {count} {several} of each"
        return
    yield "accuracy, all labels", metrics.accuracy(scores)
    yield from _open_set_figures(queries, more, alike, calibration, count, FARS[:1])
    cells = set(episodes(queries, alike).cell.tolist())
    missing = len(cells - set(scores.cell.tolist()))
    if missing:
        yield "some labels", f"{missing} of {len(cells)} labels of a person have too few pictures"


def _too_few(queries: LabelledEmbeddings) -> str:
    few = "the pictures show too few people, or too few labels of each"
    if queries.times is None:
        return few
    return f"{few}, or none of them {APART_S:g} s away from another in its recording"


def _open_set_figures(
    queries: LabelledEmbeddings,
    episodes: Callable[..., Scores],
    alike: Callable[[np.ndarray, np.ndarray], np.ndarray],
    calibration: Calibration | None,
    pictures: int,
    fars: Sequence[float],
) -> Iterator[tuple[str, Figure | str]]:
    known = min(GALLERY_SIZE, most_labels(queries) // 2)
    open_set = episodes(queries, alike, known=known) if known >= 2 else None
    if open_set is None or not open_set.known.any() or open_set.known.all():
        yield "open set", "it takes four labels, some recorded and some not"
        return
    yield f"AUROC, {known} recorded", metrics.auroc(open_set)
    for far in fars:
        accepts = metrics.correct_accepts(open_set, far)
        yield f"correct accepts at {far:.0%} false, {known} recorded", accepts
    if calibration is not None and calibration.far is not None:
        passes = fitting.accept_each(calibration, open_set, pictures)
        right = passes & open_set.correct
        yield "calibrated: false accepts", metrics.share(open_set, passes, ~open_set.known)
        yield "calibrated: correct accepts", metrics.share(open_set, right, open_set.known)


def calibrate(
    sources: Sequence[Path],
    encoder: Encoder,
    open_detector: Callable[[], Detector],
    far: float,
    only: Sequence[str] | None = None,
    fps: float | None = None,
) -> Calibration:
    """Calibrate an encoder on people's pictures, within a person and across people.

    Args:
        sources: Folders of pictures, or .npz files of `run.py embed`.
        encoder: The encoder.
        open_detector: Opens a detector of single pictures; called only for folders.
        far: The false accept rate to calibrate for, 0…1.
        only: Labels to use; None uses all.
        fps: Where the pictures are frames of recordings, how many numbers in their names make a
            second.

    Raises:
        UserError: A source can't be used, or they show too few people or gestures.
    """
    if not 0 < far < 1:
        raise UserError(f"--far is a rate between 0 and 1, such as 0.01; got {far:g}.")
    alike = functools.partial(similarity, encoder.spec)
    sets, people, pictures = [], 0, 0
    for i, source in enumerate(sources):
        if source.suffix == ".npz":
            part = load_embeddings(source, encoder, only, fps)
        elif source.is_dir():
            hands = embed_folder(source, [encoder], open_detector, only=only, labelled=True)
            part = label_embeddings(hands, 0, fps)
        else:
            raise UserError(f"calibrate takes folders of pictures, or .npz of embed; got {source}.")
        subjects = np.char.add(f"{i}/", part.subjects)  # equal names in two sets are two people
        part = dataclasses.replace(part, subjects=subjects)
        sets.append(fitting.open_set(part, alike, DRAWS))
        people, pictures = people + len(np.unique(subjects)), pictures + len(part)
    names = ", ".join(readable(source.stem) for source in sources)
    what = f"{pictures} pictures of {people} people from {names}"
    labels = f"labels {', '.join(only)}" if only is not None else ""
    scores = fitting.join_sets(sets)
    return fitting.fit(scores, far, encoder.fingerprint, (what, labels), DRAWS)
