"""Checkpoints of trained networks: configuration as JSON and half-precision weights, no code."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol, TypeVar

import torch

from engines.errors import UserError, short_reason
from engines.files import explain_errors, replace_file

FORMAT = 1
AGAIN = "Make room, or name another folder with --out; the same command goes on where it was."
Model = TypeVar("Model", bound=torch.nn.Module)
# Kind of network, as stored in the checkpoint → the function that builds it from its configuration.
Kinds = Mapping[str, Callable[[dict[str, Any]], Any]]


class Diverged(UserError):
    """A training diverged: its numbers aren't finite any more."""


class StorableNetwork(Protocol):
    """A network that `save_checkpoint` can store.

    Attributes:
        kind: Name of the network's class in the checkpoint.
        config: Its configuration; `config.to_dict()` must be serialisable as JSON.
    """

    kind: str
    config: Any

    def state_dict(self) -> dict[str, torch.Tensor]: ...


def round_to_half(model: Model) -> Model:
    """Round the weights in place to half precision, as a checkpoint stores them; return the model.

    The tensors stay in single precision. Statistics of batch normalisation are rounded, too.

    Raises:
        Diverged: A weight isn't finite, or is no longer: half precision ends at 65,504.
    """
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.copy_(value.half().float())
    if not weights_are_finite(model.state_dict()):
        raise Diverged(
            "The trained weights aren't finite numbers of half precision: the training diverged, "
            "and nothing was written. Lower the recipe's learning rate, or add pictures."
        )
    return model


def weights_are_finite(weights: Mapping[str, torch.Tensor]) -> bool:
    """Whether no weight is NaN or infinite."""
    return all(bool(torch.isfinite(value).all()) for value in weights.values())


def save_checkpoint(model: StorableNetwork, about: dict[str, Any], path: Path) -> None:
    """Write a checkpoint atomically.

    Args:
        model: The network.
        about: What to store with it, serialisable as JSON: the recipe, the data sets, figures.
        path: The file.

    Raises:
        UserError: The file can't be written, or a weight isn't finite in half precision.
    """
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    if not weights_are_finite(weights):
        raise UserError(f"{path} wasn't written: the network has weights that aren't finite.")
    config = model.config.to_dict()
    text = json.dumps({"format": FORMAT, "kind": model.kind, "model": config, "about": about})
    write_tensors({"configuration": text, "weights": weights}, path)


def write_tensors(stored: dict[str, Any], path: Path) -> None:
    """Write what `torch.load` reads, whole or not at all.

    Raises:
        UserError: The file can't be written.
    """
    buffer = io.BytesIO()  # torch tells errors of a file as its own
    torch.save(stored, buffer)
    with explain_errors(f"{path} can't be written", AGAIN), replace_file(path) as file:
        file.write(buffer.getbuffer())


def read_checkpoint(path: Path, kinds: Kinds) -> tuple[Any, dict[str, Any]]:
    """Load a network from a checkpoint.

    Args:
        path: The file.
        kinds: The kinds of networks to accept.

    Returns:
        The network in single precision and evaluation mode, and `about` of `save_checkpoint`.

    Raises:
        UserError: The file is missing, no checkpoint of this project, of another kind, or with
            weights that aren't finite.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of pickles that it hasn't written
            stored = torch.load(path, map_location="cpu", weights_only=True)
        text = json.loads(stored["configuration"])
        if text["format"] != FORMAT:
            raise UserError(
                f"{path} has format {text['format']}; this program reads {FORMAT}. "
                "Update the program or train the encoder again."
            )
        kind = text.get("kind", "gesture")
        if kind not in kinds:
            raise UserError(
                f"{path} holds a network of the kind {kind!r}; this version of the program reads "
                f"{', '.join(kinds)}. Train the encoder again."
            )
        if not weights_are_finite(stored["weights"]):
            raise UserError(
                f"{path} has weights that aren't finite numbers: its training diverged. Train the "
                "encoder again, with a lower learning rate or more pictures."
            )
        model = kinds[kind](text["model"])
        model.load_state_dict({name: value.float() for name, value in stored["weights"].items()})
        return model.eval(), text["about"]
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(
            f"{path} doesn't exist: name the checkpoint that `python run.py train` wrote."
        ) from None
    except Exception as error:  # torch, pickle, zipfile and json raise a dozen types on damage
        # Keep the first sentence: torch goes on to recommend loading code from the file.
        reason = short_reason(error).partition(". ")[0]
        if isinstance(error, UnpicklingError):
            pickled = path.read_bytes()[:2] in (b"PK", *(bytes([0x80, n]) for n in range(6)))
            reason = "it holds more than weights" if pickled else "it is no PyTorch file"
        if isinstance(error, KeyError) and isinstance(error.args[0], str):
            reason = f"it has no {error.args[0]}"
        if not any(letter.isalpha() for letter in reason):  # a KeyError of a byte of the file
            reason = "it is no PyTorch file"
        raise UserError(
            f"{path} is no checkpoint of this project ({reason}). "
            "Make one with: python run.py train --recipe default --data FILE.npz --out DIR"
        ) from None
