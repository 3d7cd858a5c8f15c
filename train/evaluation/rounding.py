"""How far half precision moves what a network gives: rounding alone, not a GPU's arithmetic.

    python -m train.evaluation.rounding models/default.onnx --hands 16 --data hands.npz

onnx's reference evaluator runs the graph that a plan in FP16 is built from, and rounds after every
step. It takes seconds for each hand. The hands are drawn, and, with a file of `prepare`, as many
photographed ones of all labels and people.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from calibration.int8.crops import choose_balanced
from engines.hand_networks import PALM
from engines.onnx_file import load_network
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.network import OnnxNetwork
from engines.selftest.outputs import differences, outputs_of
from engines.spec import EncoderInputs, preprocess, to_floats
from engines.tensorrt.precision import convert_to_fp16
from realtime.measuring.drawn_crops import drawn_crops
from realtime.measuring.report import print_table
from train.pictures.prepared import load_prepared
from train.pictures.sources import open_prepared


def measure(onnx: Path, hands: EncoderInputs) -> dict[str, np.ndarray]:
    """Find what rounding changes in each output of a network.

    Args:
        onnx: The file of an encoder, or of the palm network, which sees the crops as pictures.
        hands: N hands, in crops of the network's size.

    Returns:
        Differences from single precision, see `engines.selftest.outputs.differences`.

    Raises:
        UserError: The file is neither.
    """
    from onnx.reference import ReferenceEvaluator

    model, spec, _ = load_network(onnx)
    if spec is None:
        pictures = to_floats(hands.crops)
        inputs, exact = {PALM.input_name: pictures}, OnnxNetwork(onnx, PALM).run(pictures)
    else:
        inputs, exact = preprocess(spec, hands), outputs_of(OnnxEncoder(onnx), hands)
    found = ReferenceEvaluator(convert_to_fp16(model)).run(list(exact), dict(inputs))
    return differences(exact, dict(zip(exact, map(np.asarray, found), strict=True)))


def photographed(path: Path, count: int, size: int) -> EncoderInputs:
    """Load hands of a file of `prepare`, all labels and people about equally often."""
    source = open_prepared(load_prepared([path]), size)
    rows = choose_balanced(source.labels, source.subjects, count, seed=0)
    return source.fetch(rows).inputs()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("onnx", type=Path, help="an encoder, or models/palm.onnx")
    parser.add_argument("--hands", type=int, default=16, metavar="N", help="(%(default)s)")
    parser.add_argument("--data", type=Path, metavar="FILE.npz", help="what `prepare` wrote")
    arguments = parser.parse_args()
    spec = load_network(arguments.onnx)[1]
    size = PALM.size if spec is None else spec.crop_size
    shown = {"drawn": drawn_crops(arguments.hands, size)}
    if arguments.data:
        shown["photographed"] = photographed(arguments.data, arguments.hands, size)
    rows = []
    for kind, hands in shown.items():
        for name, change in measure(arguments.onnx, hands).items():
            figures = (*np.percentile(change, (50, 95)), change.max())
            rows.append([kind, str(len(hands.crops)), name, *(f"{100 * v:.4f}" for v in figures)])
    print_table(["hands", "N", "output"], ["median", "95 %", "most"], rows)
    print(
        "In percent: of the width (landmarks, boxes), of a metre (world_landmarks), of 1 (others)."
    )


if __name__ == "__main__":
    main()
