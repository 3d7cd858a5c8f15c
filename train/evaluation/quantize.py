"""An encoder in 8 bits, with what it was calibrated on and what it costs."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from calibration import threshold
from calibration.finite import json_text
from calibration.int8.crops import (
    check_enough,
    choose_balanced,
    manifest,
    mirror_every_second,
    split_people,
)
from calibration.int8.graph import FloatGraph
from calibration.int8.qdq import insert_qdq
from calibration.int8.quantize import choose
from calibration.int8.report import STEP, compare, compare_passes, label, latencies, sizes
from engines.cpu import multiplies_8_bits
from engines.encoder import open_encoder
from engines.errors import UserError
from engines.files import check_writable, explain_errors, write_file
from engines.onnx_file import load_encoder, save_encoder
from engines.selftest.outputs import all_outputs
from realtime.hands.detector import Detector
from train.evaluation.int8_folds import calibration_of, evaluate_folds
from train.pictures.prepared import load_prepared
from train.pictures.sources import open_source

CROPS, HELD_BACK = 256, 64  # to find ranges with, and to choose layers and method by
MEASURED = 4000  # hands at most; more tell little more
SEED = 0


def manifest_path(encoder: Path) -> Path:
    return encoder.with_suffix(".manifest.json")


def report_path(encoder: Path) -> Path:
    return encoder.with_suffix(".report.json")


def quantize_encoder(
    onnx: Path,
    pictures: Path,
    out: Path,
    open_detector: Callable[[], Detector],
    folds: Path | None = None,
    crops: int = CROPS,
) -> dict[str, Any]:
    """Write `out`, an encoder with a fingerprint of its own, with its manifest and its report
    beside it, all or none; → the report.

    pictures: FILE.npz of `prepare`, or a folder <subject>/<label>/<image>. Every second person
    calibrates, the others measure. folds: what `cross-validate` left; then people whom no encoder
    was trained on measure, too, and fit the threshold, which goes beside `out` as well (pictures
    must be a FILE.npz for that). open_detector: opens a detector
    of single pictures, only for a folder.
    Raises UserError.
    """
    if out.suffix != ".onnx" or out.resolve() == onnx.resolve():
        raise UserError(f"--out takes the name of a new file that ends in .onnx; got {out}.")
    if folds is not None and pictures.suffix != ".npz":
        raise UserError(
            "--folds takes the pictures that the folds were trained on: --pictures FILE.npz, as "
            "cross-validate's --data."
        )
    check_writable(out)
    with (
        explain_errors(f"{out} can't be written"),
        tempfile.TemporaryDirectory(prefix=".", dir=out.parent) as folder,
    ):
        made = Path(folder) / out.name
        report = _quantize_into(onnx, pictures, made, open_detector, folds, crops)
        for path in sorted(Path(folder).iterdir(), key=lambda path: path.suffix == ".onnx"):
            os.replace(path, out.with_name(path.name))
    return report


def _quantize_into(
    onnx: Path,
    pictures: Path,
    out: Path,
    open_detector: Callable[[], Detector],
    folds: Path | None,
    crops: int,
) -> dict[str, Any]:
    model, spec, mark = load_encoder(onnx)
    graph = FloatGraph(model, str(onnx))
    shown = open_source(pictures, spec.crop_size, open_detector)
    first, second = split_people(shown.subjects)

    def pick(among: np.ndarray, count: int) -> np.ndarray:
        rows = np.flatnonzero(among)
        return rows[choose_balanced(shown.labels[rows], shown.subjects[rows], count, SEED)]

    used = pick(first, crops + crops * HELD_BACK // CROPS)
    whose = str(pictures) if first.all() else f"The half of {pictures}'s people to calibrate with"
    hands = check_enough(shown.fetch(used), whose)
    hands = mirror_every_second(hands) if spec.one_pass else hands  # it sees hands of either side
    back = np.arange(len(hands)) % (CROPS // HELD_BACK + 1) == CROPS // HELD_BACK
    calibrating = hands.take(~back)
    choice, ranges = choose(model, graph, spec, calibrating, hands.take(back))
    new_spec = dataclasses.replace(spec, name=f"{spec.name}-int8")
    new_mark = save_encoder(insert_qdq(model, graph, choice.layers, ranges), new_spec, out)
    left = second.copy()
    left[used] = False
    measured = shown.fetch(pick(left, MEASURED)) if left.any() else hands
    before, after = open_encoder(str(onnx), "onnx"), open_encoder(str(out), "onnx")
    old, new = (all_outputs(encoder, measured.inputs(), STEP) for encoder in (before, after))
    compared = compare(before, after, label(old, measured), label(new, measured))
    report: dict[str, Any] = {
        "float": {"name": spec.name, "fingerprint": mark},
        "int8": {"name": new_spec.name, "fingerprint": new_mark},
        "choice": choice.report,
        "measured_on_others": bool(len(np.unique(shown.subjects)) > 1),
        "measured": compared | compare_passes(old, new),
        "size": sizes(onnx, out),
        "latency": latencies(before, after, measured),
        "cpu_multiplies_8_bits_in_one_step": multiplies_8_bits(),
    }
    if folds is not None:
        results = evaluate_folds(folds, load_prepared([pictures]), choice, crops, SEED, out.parent)
        report["folds"] = {result.test: result.report for result in results}
        fitted = calibration_of(results, new_mark)
        threshold.save(fitted, threshold.calibration_path(out))
    _save(manifest(calibrating, SEED), manifest_path(out))
    _save(report, report_path(out))
    return report


def _save(what: dict[str, Any], path: Path) -> None:
    write_file(path, json_text(what, indent=1, ensure_ascii=False) + "\n")


def lines(report: dict[str, Any]) -> list[str]:
    """The report, for people."""
    choice, size = report["choice"], report["size"]
    methods = ", ".join(f"{name} {drift:.4f}" for name, drift in choice["drift_by_method"].items())
    said = [
        f"{choice['layers_in_8_bits']} of {choice['layers']} layers in 8 bits; in float as "
        f"sensitive: {', '.join(choice['left_in_float_as_sensitive']) or 'none'}; between these: "
        f"{', '.join(choice['left_in_float_between']) or 'none'}.",
        f"Drift (1 − cosine) by how ranges are found: {methods}; taken: {choice['method']}.",
        f"{size['float_bytes'] / 1e6:.1f} → {size['int8_bytes'] / 1e6:.1f} MB.",
    ]
    if "drifts_by_method" in choice:
        moved = choice["drifts_by_method"][choice["method"]]["landmarks"]
        said.insert(2, f"Landmarks drift by {100 * moved:.2f} % of the crop's width.")
    for count, one in report["latency"].items():
        ratio, low, high = one["times_as_fast"]
        said.append(
            f"{count} hands at once: {one['float_ms']:.2f} → {one['int8_ms']:.2f} ms, "
            f"{ratio:.2f} times as fast ({low:.2f}–{high:.2f})."
        )
    whose = "people not calibrated with" if report["measured_on_others"] else "the same person"
    said += _figures(f"measured on {whose}", report["measured"])
    for name, one in report.get("folds", {}).items():
        said += _figures(f"{name}, by encoders trained without it", one)
    return said


def _figures(what: str, one: dict[str, Any]) -> list[str]:
    said = [
        f"{what} ({one['hands']} hands, {one['people']} people): cosine {one['cosine_mean']:.4f}, "
        f"1 % below {one['cosine_first_percentile']:.4f}, least {one['cosine_least']:.4f}"
    ]
    if "landmarks_mean" in one:
        names = ("mean", "95th_percentile", "most")
        mean, high, most = (100 * one[f"landmarks_{name}"] for name in names)
        side, presence = (100 * one[f"another_{name}"] for name in ("side", "presence"))
        said.append(
            f"  landmarks, of the crop's width: mean {mean:.2f} %, 95 % below {high:.2f} %, most "
            f"{most:.2f} %; another side for {side:.1f} % of the hands, another presence for "
            f"{presence:.1f} %"
        )
    for name, row in one["figures"].items():
        old, new = (f"{100 * row[i][0]:.1f} %" for i in (0, 1))
        change = ""
        if len(row) > 2:
            value, low, high = (100 * number for number in row[2])
            change = f", change {value:+.2f} ({low:+.2f} to {high:+.2f})"
        said.append(f"  {name}: {old} → {new}{change}")
    return said
