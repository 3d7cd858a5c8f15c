"""What the engines' encoders have in common: a network with named arrays in and out, in batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import numpy as np

from engines.hand_networks import HandOutputs, Shapes
from engines.spec import NO_POINTS, EncoderInputs, EncoderSpec, output_shapes, preprocess

Arrays = Mapping[str, np.ndarray]


class NetworkEncoder(ABC):
    """An Encoder, but for its network, which an engine runs.

    Attributes:
        spec: the encoder's.
    """

    spec: EncoderSpec

    def encode(self, hands: EncoderInputs) -> np.ndarray:
        """See Encoder.encode."""
        inputs = preprocess(self.spec, hands)
        return self._run(inputs, {"embedding": (self.spec.dim,)})["embedding"]

    def look(self, crops: np.ndarray, turns: np.ndarray) -> HandOutputs:
        """See Encoder.look."""
        inputs = preprocess(self.spec, EncoderInputs(crops, *NO_POINTS, turns))
        return HandOutputs(**self._run(inputs, output_shapes(self.spec)))

    @abstractmethod
    def _run(self, inputs: Arrays, outputs: Shapes) -> dict[str, np.ndarray]:
        """Run the network on any number of hands.

        Args:
            inputs: float32 (N, …) by name.
            outputs: those that are wanted, some of the network's.

        Returns:
            The wanted outputs, float32 (N, …), the caller's own.
        """


def run_in_batches(
    run: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
    inputs: Arrays,
    outputs: Shapes,
    most: int | None,
) -> dict[str, np.ndarray]:
    """Run a network on N rows, in as many runs as it takes.

    Args:
        run: runs it once; gives the outputs by name.
        inputs: (N, …) by name.
        outputs: what `run` gives.
        most: rows in one run at most; None for any number.

    Returns:
        The outputs, float32 (N, …) by name.
    """
    count = len(next(iter(inputs.values())))
    parts = [
        run({name: rows[start : start + (most or count)] for name, rows in inputs.items()})
        for start in range(0, count, most or count or 1)
    ]
    if len(parts) == 1:
        return parts[0]
    nothing = {name: np.zeros((0, *shape), np.float32) for name, shape in outputs.items()}
    return {name: np.concatenate([part[name] for part in (nothing, *parts)]) for name in outputs}
