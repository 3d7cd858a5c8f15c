"""Every study by the name that `run.py study NAME` knows it by."""

from __future__ import annotations

from collections.abc import Callable

from train.report import Report
from train.studies import asl_report, faces, gallery, omniglot
from train.studies.study import Study

STUDIES: dict[str, Callable[[Study], Report]] = {
    "asl-volume": asl_report.study,
    "faces": faces.study,
    "omniglot": omniglot.study,
    "gallery": gallery.study,
}
