"""A trained encoder on disk: its own configuration and half-precision weights, no code."""

from __future__ import annotations

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
Model = TypeVar("Model", bound=torch.nn.Module)
Kinds = Mapping[str, Callable[[dict[str, Any]], Any]]  # a network's kind → its configuration → it


class Network(Protocol):
    """What can be stored: `kind` names its class, `config.to_dict()` is what JSON can hold."""

    kind: str
    config: Any

    def state_dict(self) -> dict[str, torch.Tensor]: ...


def half(model: Model) -> Model:
    """The model with its weights rounded to half precision, kept in single: what is stored."""
    with torch.no_grad():
        for value in model.state_dict().values():  # a normalisation's statistics, too
            if value.is_floating_point():
                value.copy_(value.half().float())
    return model


def save_checkpoint(model: Network, about: dict[str, Any], path: Path) -> None:
    """Whole or not at all. about: what JSON can hold, such as the recipe and the data's names."""
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    config = model.config.to_dict()
    text = json.dumps({"format": FORMAT, "kind": model.kind, "model": config, "about": about})
    with explain_errors(f"{path} can't be written"), replace_file(path) as file:
        torch.save({"configuration": text, "weights": weights}, file)


def read_checkpoint(path: Path, kinds: Kinds) -> tuple[Any, dict[str, Any]]:
    """→ the model in single precision, ready to encode, and what was said about it.

    Raises UserError where the file is no checkpoint of this project, or of another kind.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that aren't torch's own
            stored = torch.load(path, map_location="cpu", weights_only=True)
        text = json.loads(stored["configuration"])
        if text["format"] != FORMAT:
            raise UserError(
                f"{path} has format {text['format']}; this program reads {FORMAT}. "
                "Update the program or train the encoder again."
            )
        model = kinds[text.get("kind", "gesture")](text["model"])
        model.load_state_dict({name: value.float() for name, value in stored["weights"].items()})
        return model.eval(), text["about"]
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(
            f"{path} isn't there: name the checkpoint that `python run.py train` left."
        ) from None
    except Exception as error:  # torch, pickle, zipfile and json raise a dozen types on damage
        # What torch says of code in a file advises to run it.
        reason = short_reason(error).partition(". ")[0]
        if isinstance(error, UnpicklingError):
            pickled = path.read_bytes()[:2] in (b"PK", *(bytes([0x80, n]) for n in range(6)))
            reason = "it holds more than weights" if pickled else "it is no file of PyTorch's"
        if isinstance(error, KeyError) and isinstance(error.args[0], str):
            reason = f"it has no {error.args[0]}"
        if not any(letter.isalpha() for letter in reason):  # a byte of the file, as a KeyError
            reason = "it is no file of PyTorch's"
        raise UserError(
            f"{path} is no checkpoint of this project ({reason}). "
            "Make one with: python run.py train --recipe default --data FILE.npz --out DIR"
        ) from None
