"""A stand-in for Triton: its gRPC protocol, from the client package's own generated code.

It serves a model repository's ONNX models with ONNX Runtime, reads config.pbtxt as a ModelConfig
and refuses what Triton refuses, with the codes and words of Triton 2.51: unknown models and
versions, other names, types and shapes than the configuration's, batches that are too large. It
batches nothing dynamically and runs no plans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

for package in ("grpc", "tritonclient.grpc"):  # else whoever imports this is skipped
    pytest.importorskip(package, reason='needs pip install "tritonclient[grpc]>=2.73,<3"')

import grpc  # noqa: E402
from google.protobuf import text_format  # noqa: E402
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc  # noqa: E402

TYPES = {"FP32": (model_config_pb2.TYPE_FP32, np.float32)}


def read_config(model: Path) -> model_config_pb2.ModelConfig:
    """A model's config.pbtxt, as Triton reads it: unknown fields are errors."""
    text = (model / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, model_config_pb2.ModelConfig())


class Refused(Exception):
    """A request that is answered with a gRPC status."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(code, text)
        self.code, self.text = code, text


def unknown(what: str) -> Refused:
    return Refused(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: {what}")


class Served:
    """One loaded model: its configuration, and a session for each version of its policy."""

    def __init__(self, folder: Path) -> None:
        self.config = read_config(folder)
        assert self.config.name == folder.name
        assert self.config.backend == "onnxruntime"
        assert self.config.platform == "onnxruntime_onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.sessions = {}
        for version in self.config.version_policy.specific.versions:
            self.sessions[str(version)] = onnxruntime.InferenceSession(
                str(folder / str(version) / "model.onnx"),
                options,
                providers=["CPUExecutionProvider"],
            )

    def run(self, request: service_pb2.ModelInferRequest) -> tuple[str, dict[str, np.ndarray]]:
        """→ the version that ran, and the outputs that were asked for, in the client's shapes."""
        version = request.model_version or max(self.sessions, key=int)
        if version not in self.sessions:
            raise unknown(f"'{request.model_name}' version {version} is not found")
        there = {output.name: output for output in self.config.output}
        names = [output.name for output in request.outputs]
        given = self.sessions[version].run(names, self._inputs(request))
        answer = {}
        for name, values in zip(names, given, strict=True):
            output = there[name]
            assert output.data_type == model_config_pb2.TYPE_FP32 and output.dims
            inside = output.reshape.shape if output.HasField("reshape") else output.dims
            assert list(values.shape[1:]) == list(inside)
            answer[name] = values.reshape(len(values), *output.dims)
        return version, answer

    def _inputs(self, request: service_pb2.ModelInferRequest) -> dict[str, np.ndarray]:
        wrong = grpc.StatusCode.INVALID_ARGUMENT
        wanted = {tensor.name: tensor for tensor in self.config.input}
        if {tensor.name for tensor in request.inputs} != set(wanted):
            raise Refused(wrong, f"expected the inputs {sorted(wanted)}")
        inputs = {}
        for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
            kind, dtype = TYPES[tensor.datatype]
            if kind != wanted[tensor.name].data_type:
                raise Refused(wrong, f"input {tensor.name}: {tensor.datatype}")
            if list(tensor.shape[1:]) != list(wanted[tensor.name].dims):
                raise Refused(wrong, f"input {tensor.name}: unexpected shape {tensor.shape}")
            if not 1 <= tensor.shape[0] <= self.config.max_batch_size:
                raise Refused(
                    wrong,
                    "[request id: <id_unknown>] inference request batch-size must be <= "
                    f"{self.config.max_batch_size} for '{self.config.name}'",
                )
            inputs[tensor.name] = np.frombuffer(raw, dtype).reshape(list(tensor.shape))
        if len({len(values) for values in inputs.values()}) != 1:
            raise Refused(wrong, "inputs of different batch sizes")
        return inputs


class Triton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """On a free port of this machine.

    before: called with each inference request; ready: what models say; unloaded: names of models
    that failed to load or were unloaded; batches: the sizes seen.
    """

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.before: Callable[[service_pb2.ModelInferRequest], object] = lambda request: None
        self.ready = True
        self.unloaded: set[str] = set()
        self.batches: list[int] = []
        self.bytes: int | None = None  # of each answer; None for all
        self.load()

    def load(self) -> None:
        """Read the repository anew, as Triton does when it starts or polls."""
        self.models = {path.name: Served(path) for path in self.repository.iterdir()}

    def model(self, name: str) -> Served:
        if name not in self.models:
            raise unknown(f"'{name}' is not found")
        if name in self.unloaded:
            raise unknown(f"'{name}' has no available versions")
        return self.models[name]

    def ServerLive(self, request, context):
        return service_pb2.ServerLiveResponse(live=True)

    def ModelReady(self, request, context):
        return service_pb2.ModelReadyResponse(ready=self.ready and request.name in self.models)

    def ModelConfig(self, request, context):
        with answering(context):
            return service_pb2.ModelConfigResponse(config=self.model(request.name).config)

    def ModelInfer(self, request, context):
        with answering(context):
            self.before(request)
            self.batches.append(request.inputs[0].shape[0])
            version, outputs = self.model(request.model_name).run(request)
            answer = service_pb2.ModelInferResponse(
                model_name=request.model_name, model_version=version
            )
            for name, values in outputs.items():
                answer.outputs.add(name=name, datatype="FP32", shape=values.shape)
                answer.raw_output_contents.append(values.tobytes()[: self.bytes])
            return answer


@contextmanager
def answering(context: grpc.ServicerContext) -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        context.abort(refused.code, refused.text)


@contextmanager
def serving(repository: Path) -> Iterator[tuple[Triton, str, grpc.Server]]:
    """→ the stand-in, "127.0.0.1:PORT", and the gRPC server, to be stopped earlier if wanted."""
    triton = Triton(repository)
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield triton, f"127.0.0.1:{port}", server
    finally:
        server.stop(None).wait()
