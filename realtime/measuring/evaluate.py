"""`run.py evaluate` and `run.py calibrate`: few-shot figures of an encoder on people's pictures."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration import fitting
from calibration.episodes import Scores, across, within
from calibration.figures import figures, figures_of_several
from calibration.metrics import Figure
from calibration.threshold import FARS, GALLERY_SIZE, Calibration
from engines.encoder import Encoder, open_encoder
from engines.errors import UserError
from engines.say import warn
from engines.similarity import similarity
from realtime.hands.detector import Detector
from realtime.measuring.folder import (
    embed_folder,
    label_embeddings,
    load_embeddings,
    subjects_and_labels,
)
from realtime.names import join_spellings, readable

DRAWS = 60  # of references per person, for a calibration


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
            others = label_embeddings(pool, i, fps)
            one_way = spelt_alike([queries.labels, others.labels, labels])
            queries = dataclasses.replace(queries, labels=one_way[0])
            others, labels = dataclasses.replace(others, labels=one_way[1]), one_way[2]
            modes = {"across people": functools.partial(across, references=others)}
        own = calibration if one is encoder else None
        for mode, episodes in modes.items():
            found = [(mode, *each) for each in figures(queries, episodes, alike, own, labels)]
            for several, counts in (("shots", shots), ("views", views)):
                for count in [count for count in counts if count > 1]:
                    named = f"{mode}, {count} {several}"
                    more = figures_of_several(queries, episodes, alike, own, several, count, labels)
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


def spelt_alike(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The same labels, str (N,) each, with one spelling of each over all parts."""
    labels = np.array(join_spellings([each for part in parts for each in part], "label"))
    return np.split(labels, np.cumsum([len(part) for part in parts])[:-1])


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
        far: The false accept rate to calibrate for, above 0 and at most FARS[-1].
        only: Labels to use; None uses all.
        fps: Where the pictures are frames of recordings, how many numbers in their names make a
            second.

    Raises:
        UserError: A source can't be used, or they show too few people or gestures.
    """
    if not 0 < far <= FARS[-1]:
        raise UserError(
            f"--far is a rate between 0 and 1, at most {FARS[-1]:g}, such as 0.01; got {far:g}."
        )
    alike = functools.partial(similarity, encoder.spec)
    sets: list[fitting.OpenSet] = []
    used: list[str] = []
    people = pictures = 0
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
        if sets[-1].one:
            used.append(readable(source.stem))
            people, pictures = people + len(np.unique(subjects)), pictures + len(part)
        else:
            warn(
                f"{source} adds nothing to the calibration: nobody in it shows more than "
                f"{GALLERY_SIZE} gestures with several pictures of one."
            )
    names = ", ".join(used)
    what = f"{pictures} pictures of {people} people from {names}"
    labels = f"labels {', '.join(only)}" if only is not None else ""
    scores = fitting.join_sets(sets)
    return fitting.fit(scores, far, encoder.fingerprint, (what, labels), DRAWS)
