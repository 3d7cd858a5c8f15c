"""A model's configuration in Triton: written as config.pbtxt, and read from a server's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engines.errors import UserError
from engines.hand_networks import Shapes
from engines.spec import FINGERPRINT_KEY, SPEC_KEY, EncoderSpec, input_shapes, output_shapes

NAME = "[A-Za-z0-9_][A-Za-z0-9_.-]*"  # of a model, as a regular expression
AGAIN = "python run.py build --onnx FILE.onnx --triton DIR"
CAMERA_HANDS = 2  # that one camera sends at most per frame
PLATFORMS = {"onnx": ("onnxruntime_onnx", "onnxruntime"), "plan": ("tensorrt_plan", "tensorrt")}


@dataclass(frozen=True)
class ServedEncoder:
    """An encoder to be put into a model repository.

    Attributes:
        kind: "onnx" or "plan", the suffix of its file.
        spec: the encoder's.
        fingerprint: the encoder's.
        batches: ascending numbers of hands; it takes 1 to the last. A plan has an optimisation
            profile for each.
    """

    kind: str
    spec: EncoderSpec
    fingerprint: str
    batches: tuple[int, ...]


@dataclass(frozen=True)
class TritonModel:
    """A model as a server describes it.

    Attributes:
        spec: the encoder's.
        fingerprint: the encoder's.
        most: hands in one request at most.
        version: such as "3"; "" where the server serves whichever is newest.
    """

    spec: EncoderSpec
    fingerprint: str
    most: int
    version: str


def format_config(name: str, served: ServedEncoder, version: int, delay_us: int) -> str:
    """The text of config.pbtxt: Triton's ModelConfig in protobuf's text format, ASCII.

    Args:
        name: the model's.
        served: the encoder.
        version: the only one that Triton is to serve.
        delay_us: how long Triton may wait for more hands, microseconds.
    """
    platform, backend = PLATFORMS[served.kind]
    preferred = _preferred_sizes(served)
    takes, gives = input_shapes(served.spec), output_shapes(served.spec)
    lines = [
        f"name: {_quote(name)}",
        f"platform: {_quote(platform)}",
        f"backend: {_quote(backend)}",
        f"max_batch_size: {served.batches[-1]}",
        # Shapes without the batch axis, which Triton adds.
        *(_format_tensor("input", key, shape) for key, shape in takes.items()),
        *(_format_tensor("output", key, shape) for key, shape in gives.items()),
        f"version_policy {{ specific {{ versions: [ {version} ] }} }}",
        f"dynamic_batching {{{preferred} max_queue_delay_microseconds: {delay_us} }}",
    ]
    if served.kind == "plan":
        # Triton takes a listed profile that fits the batch; without a list, the first profile.
        profiles = ", ".join(_quote(str(index)) for index in range(len(served.batches)))
        lines.append(f"instance_group {{ kind: KIND_GPU profile: [ {profiles} ] }}")
    parameters = {FINGERPRINT_KEY: served.fingerprint, SPEC_KEY: served.spec.to_json()}
    for key, value in parameters.items():
        lines.append(
            f"parameters {{ key: {_quote(key)} value {{ string_value: {_quote(value)} }} }}"
        )
    return "\n".join(lines) + "\n"


def parse_config(url: str, config: Any) -> TritonModel:
    """Read a server's ModelConfig. Raises UserError where the model isn't an encoder of ours."""
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    if SPEC_KEY not in parameters or FINGERPRINT_KEY not in parameters:
        raise UserError(
            f"{url} doesn't say which encoder it is, so this program didn't write it; write one "
            f"that does: {AGAIN}"
        )
    spec = EncoderSpec.from_json(parameters[SPEC_KEY])
    takes = {tensor.name: tuple(tensor.dims) for tensor in config.input}
    if config.max_batch_size < 1 or takes != served_shapes(input_shapes(spec)):
        raise UserError(
            f"{url} takes {takes} in batches of {config.max_batch_size} where its spec says "
            f"{input_shapes(spec)} in batches; write its repository again: {AGAIN}"
        )
    gives = {tensor.name: tuple(tensor.dims) for tensor in config.output}
    if gives != served_shapes(output_shapes(spec)):
        raise UserError(
            f"{url} gives {gives} where its spec says {output_shapes(spec)}; write its repository "
            f"again: {AGAIN}"
        )
    versions = config.version_policy.specific.versions
    version = str(versions[0]) if len(versions) == 1 else ""
    return TritonModel(spec, parameters[FINGERPRINT_KEY], config.max_batch_size, version)


def served_shapes(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """The shapes that clients see: Triton allows no empty ones, so a single number is (1,)."""
    return {name: shape or (1,) for name, shape in shapes.items()}


def _preferred_sizes(served: ServedEncoder) -> str:
    """The batch sizes that a plan was tuned for and that one camera alone can't fill.

    Triton runs a batch of a preferred size at once. With sizes that one camera fills, it would
    never put the hands of several cameras together. ONNX Runtime isn't tuned for any size.
    """
    sizes = [size for size in served.batches if size > CAMERA_HANDS and served.kind == "plan"]
    return f" preferred_batch_size: [ {', '.join(map(str, sizes))} ]" if sizes else ""


def _format_tensor(field: str, name: str, shape: tuple[int, ...]) -> str:
    dims = ", ".join(map(str, shape)) or "1"
    reshape = "" if shape else " reshape { shape: [ ] }"
    return f"{field} {{ name: {_quote(name)} data_type: TYPE_FP32 dims: [ {dims} ]{reshape} }}"


def _quote(text: str) -> str:
    """A string in protobuf's text format, with bytes beyond printable ASCII in octal."""
    pieces = {ord('"'): '\\"', ord("\\"): "\\\\"}
    pieces |= {b: f"\\{b:03o}" for b in range(256) if not 0x20 <= b < 0x7F}
    return '"' + "".join(pieces.get(b, chr(b)) for b in text.encode()) + '"'
