"""The engines that an encoder may have on this machine, opened to be compared."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path

from engines.encoder import PALM_FILE, Encoder, engine_kind, open_encoder
from engines.errors import UserError, at_end
from engines.hand_networks import PALM, PalmNetwork, find_palm_plan, is_palm_plan
from engines.onnx_runtime.network import OnnxNetwork
from engines.onnx_runtime.providers import CPU
from engines.onnx_runtime.session import list_providers
from engines.say import warn


@contextlib.contextmanager
def open_engines(onnx: Path, names: Sequence[str] | None) -> Iterator[dict[str, Encoder]]:
    """Open the engines of an encoder, and close them after the block.

    Args:
        onnx: The encoder's ONNX file.
        names: onnx:PROVIDER, FILE.plan or FILE.onnx each; None for all that work here.

    Yields:
        The engines by a short name, in order.

    Raises:
        UserError: If one that is named can't be opened, or the encoder's file itself. Without names
            an engine is left out, with a warning.
    """
    engines: dict[str, Encoder] = {}
    with contextlib.ExitStack() as stack:
        for name in names or find_engines(onnx):
            try:
                encoder = open_engine(name, onnx)
            except UserError as error:
                if names or name == f"onnx:{CPU}":  # which runs every file that is right
                    raise
                warn(f"left out – {name}: {error}")
                continue
            if not names and not _belongs(name, encoder, list(engines.values())):
                encoder.close()
                warn(f"left out – {name}: it holds another encoder.")
                continue
            stack.enter_context(at_end(encoder.close))
            engines[label(name, engines)] = encoder
        yield engines


@contextlib.contextmanager
def open_palms(engines: Mapping[str, Encoder]) -> Iterator[dict[str, PalmNetwork]]:
    """Open the palm network in each engine that it may run in beside an encoder.

    Args:
        engines: of the encoder, opened, by name.

    Yields:
        The palm network by the engine's name. What can't be opened is left out, with a warning.
    """
    palms: dict[str, PalmNetwork] = {}
    with contextlib.ExitStack() as stack:
        for engine in dict.fromkeys(encoder.engine_name for encoder in engines.values()):
            try:
                palm = _open_palm(*engine_kind(engine))
            except UserError as error:
                warn(f"left out – the palm network beside {engine}: {error}")
                continue
            stack.enter_context(at_end(palm.close))
            palms[label(engine, palms)] = palm
        yield palms


def _open_palm(kind: str, value: str) -> PalmNetwork:
    if kind == "plan":
        from engines.tensorrt.encoder import open_palm_plan

        return open_palm_plan(find_palm_plan(Path(value)), PALM_FILE)
    return OnnxNetwork(PALM_FILE, PALM, value)


def find_engines(onnx: Path) -> list[str]:
    """ONNX Runtime's providers, and the files of engines that lie beside the encoder's."""
    stem = onnx.with_suffix("").name
    plans = sorted({*onnx.parent.glob(f"{stem}.plan"), *onnx.parent.glob(f"{stem}-*.plan")})
    plans = [plan for plan in plans if not is_palm_plan(plan)]
    quantised = onnx.with_name(f"{stem}-int8.onnx")
    files = [*([quantised] if quantised.is_file() else []), *plans]
    return [*(f"onnx:{name}" for name in list_providers()), *map(str, files)]


def open_engine(name: str, onnx: Path) -> Encoder:
    """Open onnx:PROVIDER, FILE.plan or FILE.onnx. Raises UserError where it can't be had."""
    kind, value = engine_kind(name)
    if kind in ("plan", "encoder") and not Path(value).is_file():
        raise UserError(f"There is no {value}: --engines takes files that are there.")
    if kind == "onnx":
        return open_encoder(str(onnx), name)
    if kind == "encoder":
        return open_encoder(value, "onnx")
    if kind == "plan":
        from engines.tensorrt.encoder import open_plan

        return open_plan(Path(value))
    raise UserError(
        f"--engines takes onnx:cpu, onnx:cuda and the like, FILE.plan and FILE.onnx; got {name!r}."
    )


def _belongs(name: str, encoder: Encoder, others: Sequence[Encoder]) -> bool:
    """Whether a file found beside an encoder's is made of it: quantised, or a plan of either."""
    if engine_kind(name)[0] == "encoder":
        return dataclasses.replace(encoder.spec, name=others[0].spec.name) == others[0].spec
    return not others or encoder.fingerprint in {other.fingerprint for other in others}


def label(name: str, taken: Container[str]) -> str:
    """A file without its folder; numbered, where that is there already."""
    short = Path(name).name if engine_kind(name)[0] in ("plan", "encoder") else name
    numbered = (f"{short} ({number})" for number in itertools.count(2))
    return next(each for each in itertools.chain([short], numbered) if each not in taken)
