"""What Triton is told of a model in its config.pbtxt, and what it tells of it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engines.errors import UserError
from engines.spec import FINGERPRINT_KEY, SPEC_KEY, EncoderSpec, input_shapes

NAME = "[A-Za-z0-9_][A-Za-z0-9_.-]*"  # of a model, as a regular expression
AGAIN = "python run.py build --onnx FILE.onnx --triton DIR"
MOST_HANDS = 2  # that one camera's frame sends
PLATFORMS = {"onnx": ("onnxruntime_onnx", "onnxruntime"), "plan": ("tensorrt_plan", "tensorrt")}


@dataclass(frozen=True)
class Served:
    """What Triton has to know of a model.

    kind: "onnx" or "plan", which is also the suffix of its file. batches: ascending numbers of
    hands; it takes 1 to the last. A plan has an optimisation profile for each.
    """

    kind: str
    spec: EncoderSpec
    fingerprint: str
    batches: tuple[int, ...]


@dataclass(frozen=True)
class Model:
    """What a server says of a model.

    most: hands in one request. version: "3", or "" where it serves whichever is newest.
    """

    spec: EncoderSpec
    fingerprint: str
    most: int
    version: str


def config(name: str, served: Served, version: int, delay_us: int) -> str:
    """The text of config.pbtxt, in the text format of Triton's ModelConfig, ASCII.

    It names the one version that it belongs to. delay_us: microseconds that Triton may hold hands
    back until more have come.
    """
    platform, backend = PLATFORMS[served.kind]
    lines = [
        f"name: {_quoted(name)}",
        f"platform: {_quoted(platform)}",
        f"backend: {_quoted(backend)}",
        f"max_batch_size: {served.batches[-1]}",
        # Without the batch, which Triton adds itself.
        *(_tensor("input", key, shape) for key, shape in input_shapes(served.spec).items()),
        _tensor("output", "embedding", (served.spec.dim,)),
        f"version_policy {{ specific {{ versions: [ {version} ] }} }}",
        f"dynamic_batching {{{_preferred(served)} max_queue_delay_microseconds: {delay_us} }}",
    ]
    if served.kind == "plan":
        # Of the profiles listed, Triton takes one that fits the batch; without a list, the first.
        profiles = ", ".join(_quoted(str(index)) for index in range(len(served.batches)))
        lines.append(f"instance_group {{ kind: KIND_GPU profile: [ {profiles} ] }}")
    said = {FINGERPRINT_KEY: served.fingerprint, SPEC_KEY: served.spec.to_json()}
    for key, value in said.items():
        lines.append(
            f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}"
        )
    return "\n".join(lines) + "\n"


def understood(url: str, config: Any) -> Model:
    """A server's ModelConfig → the model. Raises UserError where it isn't one of ours."""
    said = {key: value.string_value for key, value in config.parameters.items()}
    if SPEC_KEY not in said or FINGERPRINT_KEY not in said:
        raise UserError(
            f"{url} doesn't say which encoder it is, so this program didn't write it; write one "
            f"that does: {AGAIN}"
        )
    spec = EncoderSpec.from_json(said[SPEC_KEY])
    takes = {tensor.name: tuple(tensor.dims) for tensor in config.input}
    if config.max_batch_size < 1 or takes != input_shapes(spec):
        raise UserError(
            f"{url} takes {takes} in batches of {config.max_batch_size} where its spec says "
            f"{input_shapes(spec)} in batches; write its repository again: {AGAIN}"
        )
    versions = config.version_policy.specific.versions
    version = str(versions[0]) if len(versions) == 1 else ""
    return Model(spec, said[FINGERPRINT_KEY], config.max_batch_size, version)


def _preferred(served: Served) -> str:
    """Sizes that a plan was tuned for, except those which one camera's frame reaches by itself.

    Triton sends a batch of a preferred size at once, so these would end all putting together.
    ONNX Runtime isn't tuned for any.
    """
    sizes = [size for size in served.batches if size > MOST_HANDS and served.kind == "plan"]
    return f" preferred_batch_size: [ {', '.join(map(str, sizes))} ]" if sizes else ""


def _tensor(field: str, name: str, shape: tuple[int, ...]) -> str:
    dims = ", ".join(map(str, shape))
    return f"{field} {{ name: {_quoted(name)} data_type: TYPE_FP32 dims: [ {dims} ] }}"


def _quoted(text: str) -> str:
    """A string of protobuf's text format; bytes that aren't printable ASCII in octal."""
    pieces = {ord('"'): '\\"', ord("\\"): "\\\\"}
    pieces |= {b: f"\\{b:03o}" for b in range(256) if not 0x20 <= b < 0x7F}
    return '"' + "".join(pieces.get(b, chr(b)) for b in text.encode()) + '"'
