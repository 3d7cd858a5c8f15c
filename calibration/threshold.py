"""Calibration: turns a similarity into "known or unknown" and into a probability. Pure numpy.

It is fitted (`fitting.py`) on episodes with GALLERY_SIZE recorded gestures. A false accept is a
gesture that was never recorded and is taken for one of these.

The best of five pictures of a gesture scores higher than one picture, for strangers, too. So there
is a threshold for gestures known by one picture and one for those known by five.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration.finite import json_text
from engines.errors import UserError, short_reason
from engines.files import explain_errors, write_file

GALLERY_SIZE = 10
FARS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)  # false-accept rates to step through
MANY = 5  # pictures of a gesture from which on the second threshold holds
MOST = 1e30  # no number of a calibration is as large
VERSION = 2  # of the file's format; version 1 knows one threshold only


@dataclass(frozen=True)
class Calibration:
    """When a match is accepted, and how probable it is.

    Attributes:
        threshold: least score of a match that is accepted, with a gesture known by one picture.
        threshold_five: the same, with a gesture known by MANY pictures.
        min_margin: least margin of a match that is accepted, see `relative_margin`.
        far: share of never-recorded gestures that are accepted; None where it isn't known, without
            a fit.
        curve_far: ascending false-accept rates; empty without a fit.
        curve_threshold: the threshold at each of these.
        curve_threshold_five: the threshold for MANY pictures at each of these.
        weights: of the logistic regression: score, margin, bias.
        fingerprint: of the encoder whose scores were fitted.
        fitted_on: what it was fitted on, for people.
        report: what it does on the scores that it was fitted on, see `fitting.fit`.
        detector: what found the hands, as --detector names it, for people; "" where it isn't known.
        version: of the file's format.
    """

    threshold: float
    threshold_five: float
    min_margin: float
    far: float | None
    curve_far: tuple[float, ...]
    curve_threshold: tuple[float, ...]
    curve_threshold_five: tuple[float, ...]
    weights: tuple[float, float, float]
    fingerprint: str
    fitted_on: str
    report: dict[str, float] = dataclasses.field(default_factory=dict)
    detector: str = ""
    version: int = VERSION

    def at(self, far: float) -> Calibration:
        """The calibration at another false-accept rate. Raises UserError outside its range."""
        if not self.curve_far:
            raise UserError(
                "This encoder has no calibration, so --far can't be kept. Fit one with: "
                "python run.py calibrate DIR --encoder ENCODER"
            )
        if not self.curve_far[0] <= far <= self.curve_far[-1]:
            raise UserError(
                f"--far lies between {self.curve_far[0]:.2g} and {self.curve_far[-1]:.2g} for this "
                f"calibration; got {far:g}."
            )
        one, five = (
            float(np.interp(np.log(far), np.log(self.curve_far), curve))
            for curve in (self.curve_threshold, self.curve_threshold_five)
        )
        return dataclasses.replace(self, threshold=one, threshold_five=five, far=far)

    def near(self, far: float) -> Calibration:
        """The calibration at a false-accept rate, or at the nearest in its range.

        Without a fit it is the same.
        """
        if not self.curve_far:
            return self
        return self.at(min(max(far, self.curve_far[0]), self.curve_far[-1]))

    def step(self, steps: int) -> Calibration:
        """The calibration at the next rate of FARS: looser for steps > 0, else stricter.

        At the end of the range, or without a curve, it is the same.
        """
        if self.far is None:
            return self
        looser = [f for f in FARS if f > self.far * 1.001 and f <= self.curve_far[-1]]
        stricter = [f for f in FARS if f < self.far * 0.999 and f >= self.curve_far[0]]
        chosen = looser[:1] if steps > 0 else stricter[-1:]
        return self.at(chosen[0]) if chosen else self

    def threshold_rise(self, pictures: int) -> float:
        """How much the threshold rises with the pictures of the nearest gesture, one or more.

        It follows their logarithm: each doubling lets in about as many more.
        """
        share = math.log(min(pictures, MANY)) / math.log(MANY)
        return share * (self.threshold_five - self.threshold)

    def accepts(self, score: float, margin: float, pictures: int = 1) -> bool:
        """Whether a match counts as known, with so many pictures of the nearest gesture."""
        return score >= self.threshold + self.threshold_rise(pictures) and margin >= self.min_margin

    def probability(self, score: float, margin: float, pictures: int = 1) -> float:
        """Probability that the nearest reference is right, if half of all gestures are recorded.

        It is the same at each threshold, whatever the number of pictures of the nearest gesture.
        """
        by_score, by_margin, bias = self.weights
        logit = by_score * (score - self.threshold_rise(pictures)) + by_margin * margin + bias
        return 1 / (1 + math.exp(-min(max(logit, -60.0), 60.0)))


def default_calibration(similarity: str, fingerprint: str) -> Calibration:
    """The default for an encoder without a calibration: threshold 0.75, which is a guess."""
    slope, threshold = 20.0, 0.75
    return Calibration(
        threshold=threshold,
        threshold_five=threshold,
        min_margin=0.02,
        far=None,
        curve_far=(),
        curve_threshold=(),
        curve_threshold_five=(),
        weights=(slope, 0.0, -slope * threshold),
        fingerprint=fingerprint,
        fitted_on=f"nothing (default for {similarity})",
    )


def calibration_path(encoder: Path) -> Path:
    """Where an encoder's calibration is: default.onnx → default.calibration.json."""
    return encoder.with_suffix(".calibration.json")


def save(calibration: Calibration, path: Path) -> None:
    """Write a calibration, whole or not at all. Raises UserError where it can't be written."""
    with explain_errors(f"The calibration can't be written to {path}"):
        write_file(path, json_text(dataclasses.asdict(calibration)) + "\n")


def _check(read: Calibration) -> None:
    """Raises ValueError, or TypeError, where a file's values are none that `fitting.fit` gives."""
    rates, *curves = read.curve_far, read.curve_threshold, read.curve_threshold_five
    numbers = (
        *(read.threshold, read.threshold_five, read.min_margin, *read.weights),
        *(number for curve in (rates, *curves) for number in curve),
        *([] if read.far is None else [read.far]),
    )
    if not all(type(number) in (int, float) and abs(number) < MOST for number in numbers):
        raise ValueError("a number is missing")
    if len(read.weights) != 3 or any(len(curve) != len(rates) for curve in curves):
        raise ValueError("its lists have other lengths than they should")
    if list(rates) != sorted(rates) or any(not 0 < rate < 1 for rate in rates):
        raise ValueError("its false-accept rates aren't ascending between 0 and 1")
    if read.far is not None and not (rates and rates[0] <= read.far <= rates[-1]):
        raise ValueError("its false-accept rate isn't one of its curve")
    if not all(isinstance(text, str) for text in (read.fingerprint, read.fitted_on, read.detector)):
        raise ValueError("a text is missing")


def load(path: Path, fingerprint: str) -> Calibration:
    """Read a calibration. Raises UserError for a damaged file, or one of another encoder."""
    try:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()
        }
        version = values.pop("version")
        if version == 1:
            values["threshold_five"] = values["threshold"]
            values["curve_threshold_five"] = values["curve_threshold"]
        elif version != VERSION:
            raise ValueError(f"version {version}; this program reads versions 1 and {VERSION}")
        calibration = Calibration(**values)
        _check(calibration)
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
    ) as error:
        raise UserError(
            f"The calibration {path} can't be read ({short_reason(error)}). Fit it again with: "
            "python run.py calibrate DIR --encoder ENCODER"
        ) from None
    if calibration.fingerprint != fingerprint:
        raise UserError(
            f"The calibration {path} was fitted for another encoder. Fit it again with: "
            "python run.py calibrate DIR --encoder ENCODER"
        )
    return calibration
