"""`run.py evaluate` and `run.py calibrate`: one-shot figures of an encoder on people's pictures.

The layout of the pictures is <subject>/<label>/<image>; all folders above the label are the
subject.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from calibration import metrics, threshold
from calibration.episodes import LabelledEmbeddings, Scores, across, within
from calibration.metrics import Figure
from calibration.threshold import Calibration
from engines.encoder import Encoder, open_encoder
from engines.errors import UserError
from engines.similarity import similarity
from realtime.hands.detector import Detector
from realtime.measuring.folder import PictureHands, embed_folder

FARS = (0.01, 0.05)
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
    )
    hands, pool = embed(folder), embed(references) if references else None
    subjects, labels = subjects_and_labels(hands.paths)
    rows: dict[str, dict[str, Figure]] = {}
    left_out: dict[str, None] = {}  # an ordered set
    for i, (name, one) in enumerate(encoders.items()):
        queries = label_embeddings(hands, i)
        alike = functools.partial(similarity, one.spec)
        modes: dict[str, Callable[..., Scores]] = {"within a person": within}
        modes["across people"] = across
        if pool is not None:
            modes = {
                "across people": functools.partial(across, references=label_embeddings(pool, i))
            }
        for mode, episodes in modes.items():
            for row, figure in figures(
                queries, episodes, alike, calibration if one is encoder else None
            ):
                if isinstance(figure, str):
                    left_out[f"{mode}, {row}: {figure}"] = None
                else:
                    rows.setdefault(f"{mode}: {row}", {})[name] = figure
    missing = labels[~hands.found]
    return EvaluationReport(
        rows=rows,
        left_out=list(left_out),
        pictures=len(hands.paths),
        not_found={str(label): int((missing == label).sum()) for label in np.unique(missing)},
        subjects=len(np.unique(subjects)),
        labels=len(np.unique(labels)),
    )


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
        yield "all figures", "the pictures show too few people, or too few labels of each"
        return
    yield "one-shot accuracy, all labels", metrics.accuracy(scores)
    five_way = metrics.five_way_accuracy(scores)
    yield "one-shot accuracy, 5-way", five_way or "nobody shows five labels"
    most = max(len(set(queries.labels[queries.subjects == s])) for s in set(queries.subjects))
    known = min(threshold.GALLERY_SIZE, most // 2)
    open_set = episodes(queries, alike, known=known) if known >= 2 else None
    if open_set is None or not open_set.known.any() or open_set.known.all():
        yield "open set", "it takes four labels, some recorded and some not"
        return
    yield f"AUROC, {known} recorded", metrics.auroc(open_set)
    for far in FARS:
        accepted = metrics.correct_accepts(open_set, far)
        yield f"correct accepts at {far:.0%} false, {known} recorded", accepted
    if calibration is not None and calibration.far is not None:
        passes = open_set.best >= calibration.threshold
        passes &= open_set.margin >= calibration.min_margin
        right = passes & open_set.correct
        yield "calibrated: false accepts", metrics.share(open_set, passes, ~open_set.known)
        yield "calibrated: correct accepts", metrics.share(open_set, right, open_set.known)


def calibrate(
    sources: Sequence[Path],
    encoder: Encoder,
    open_detector: Callable[[], Detector],
    far: float,
    only: Sequence[str] | None = None,
) -> Calibration:
    """Calibrate an encoder on people's pictures.

    Args:
        sources: Folders of pictures, or .npz files of `run.py embed`.
        encoder: The encoder.
        open_detector: Opens a detector of single pictures; called only for folders.
        far: The false accept rate to calibrate for, 0…1.
        only: Labels to use; None uses all.

    Raises:
        UserError: A source can't be used, or they show too few people or gestures.
    """
    if not 0 < far < 1:
        raise UserError(f"--far is a rate between 0 and 1, such as 0.01; got {far:g}.")
    parts = []
    for i, source in enumerate(sources):
        if source.suffix == ".npz":
            part = _load_embeddings(source, encoder, only)
        elif source.is_dir():
            part = label_embeddings(embed_folder(source, [encoder], open_detector, only=only), 0)
        else:
            raise UserError(f"calibrate takes folders of pictures, or .npz of embed; got {source}.")
        subjects = np.char.add(f"{i}/", part.subjects)  # equal names in two sets are two people
        parts.append(dataclasses.replace(part, subjects=subjects))
    data = LabelledEmbeddings(
        np.concatenate([part.embeddings for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.subjects for part in parts]),
    )
    alike = functools.partial(similarity, encoder.spec)
    scores = within(data, alike, known=threshold.GALLERY_SIZE, draws=DRAWS)
    people = {cell.rsplit("/", 1)[0] for cell in np.unique(scores.cell)}
    names = ", ".join(source.stem for source in sources)
    what = f"{len(data.labels)} pictures of {len(people)} people from {names}, within each person"
    if only is not None:
        what += f", labels {', '.join(only)}"
    return threshold.fit(scores, far, encoder.fingerprint, what, DRAWS)


def _load_embeddings(
    path: Path, encoder: Encoder, only: Sequence[str] | None
) -> LabelledEmbeddings:
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            names, found = [str(p) for p in file["path"]], file["found"].astype(bool)
            embeddings, mark = file["embedding"], str(file["fingerprint"])
    except Exception as error:  # zipfile, zlib and numpy raise a dozen types on damage
        raise UserError(
            f"{path} isn't what `run.py embed` writes ({error}). Make it with: "
            "python run.py embed DIR --out FILE.npz"
        ) from None
    if mark != encoder.fingerprint:
        raise UserError(
            f"{path} was embedded by another encoder. Make it again with: python run.py embed "
            f"DIR --out {path.name} --encoder …"
        )
    subjects, labels = subjects_and_labels(names)
    if only is not None:
        found &= np.isin(labels, only)
    return LabelledEmbeddings(embeddings[found], labels[found], subjects[found])


def label_embeddings(hands: PictureHands, encoder: int) -> LabelledEmbeddings:
    """Return the embeddings of pictures with a hand, by the encoder with that index."""
    subjects, labels = subjects_and_labels(hands.paths)
    found = hands.found
    return LabelledEmbeddings(hands.embeddings[encoder][found], labels[found], subjects[found])


def subjects_and_labels(paths: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Split relative paths <subject…>/<label>/<image> into subjects and labels, str (N,) each.

    Raises:
        UserError: A picture lies outside a label's folder.
    """
    parents = [PurePosixPath(path).parent for path in paths]
    if any(parent.name == "" for parent in parents):
        raise UserError(
            "Pictures are expected as <subject>/<label>/<image>; some lie outside any label's "
            "folder. Name the folder that holds the subjects."
        )
    subjects = [parent.parent.as_posix() for parent in parents]
    return np.array(subjects), np.array([parent.name for parent in parents])
