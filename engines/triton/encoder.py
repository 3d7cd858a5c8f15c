"""An encoder on NVIDIA's Triton Inference Server. The only file that imports tritonclient.

What the encoder takes is sent unencrypted to the host in the address: crops, and landmarks.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np

from engines.errors import UserError, first_line
from engines.hand_networks import Shapes
from engines.network import Arrays, NetworkEncoder, run_in_batches
from engines.text.addresses import public_address
from engines.triton.config import AGAIN, NAME, TritonModel, parse_config, served_shapes

PREFIX = "triton://"
URL = re.compile(rf"{PREFIX}(\[[0-9a-fA-F:.]+\]|[^/:@\s\[\]]+):([0-9]{{1,5}})/({NAME})")
PACKAGE = "tritonclient[grpc]>=2.73,<3"
CONNECT_S = 5.0  # timeout of a request about the model
ENCODE_S = 10.0  # timeout of a batch; a slower server is of no use live


class TritonEncoder(NetworkEncoder):
    """A model that `write_repository` wrote, used over gRPC. Threads may share it."""

    def __init__(self, url: str) -> None:
        """Raises UserError, as `open_triton` does."""
        self._url = self.engine = self.engine_name = url
        host, self._name = _parse_url(url)
        self._grpc = _load_client()
        # No proxy: crops go to the address that was named, and nowhere else.
        self._client: Any = self._grpc.InferenceServerClient(
            host,
            channel_args=[
                ("grpc.enable_http_proxy", 0),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_receive_message_length", -1),
            ],
        )
        try:
            self._model = self._query_model()
        except BaseException:
            self._client.close()
            raise
        self.spec = self._model.spec
        self.fingerprint = self._model.fingerprint

    def _run(self, inputs: Arrays, outputs: Shapes) -> dict[str, np.ndarray]:
        """Raises UserError, too, where the model has become another encoder."""
        model = self._model
        try:
            return self._send(inputs, outputs, model)
        except self._grpc.InferenceServerException as error:
            fault = error
        # The version may be gone because a newer one of the same encoder replaced it.
        if fault.status() in ("StatusCode.NOT_FOUND", "StatusCode.UNAVAILABLE"):
            now = self._query_model()
            if now.fingerprint != self.fingerprint:
                raise UserError(
                    f"{self._url} serves another encoder now, {now.fingerprint[:12]} instead of "
                    f"{self.fingerprint[:12]}; start again with the one that you want."
                )
            if now.version != model.version:
                self._model = now
                try:
                    return self._send(inputs, outputs, now)
                except self._grpc.InferenceServerException as error:
                    fault = error
        raise UserError(
            f"{self._url} didn't embed the hands ({_reason(fault)}); look at Triton's log, or run "
            "without it: --engine onnx"
        )

    def close(self) -> None:
        """End the connection. Closing again does nothing."""
        self._client.close()

    def _send(self, inputs: Arrays, outputs: Shapes, model: TritonModel) -> dict[str, np.ndarray]:
        """Send N hands in requests of at most `model.most`."""
        infer = functools.partial(self._infer, outputs, model.version)
        return run_in_batches(infer, inputs, outputs, model.most)

    def _infer(
        self, outputs: Shapes, version: str, batch: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        tensors = []
        for name, values in batch.items():
            tensor = self._grpc.InferInput(name, list(values.shape), "FP32")
            tensor.set_data_from_numpy(values)
            tensors.append(tensor)
        answer = self._client.infer(
            self._name,
            tensors,
            model_version=version,
            outputs=[self._grpc.InferRequestedOutput(name) for name in outputs],
            client_timeout=ENCODE_S,
        )
        return {
            name: self._read(answer, name, (len(values), *shape)).reshape(-1, *outputs[name])
            for name, shape in served_shapes(outputs).items()
        }

    def _read(self, answer: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """One output of an answer. Raises UserError where it has another shape or type."""
        try:
            found = answer.as_numpy(name)
        except ValueError:  # fewer bytes than the shape needs
            found = None
        if found is None or found.dtype != np.float32 or found.shape != shape:
            got = f"no {name}" if found is None else f"{found.dtype} {found.shape}"
            raise UserError(
                f"{self._url} answered with {got} where its spec says float32 {shape}; write its "
                f"repository again: {AGAIN}"
            )
        return found.copy()  # the client's own can't be written

    def _query_model(self) -> TritonModel:
        """Ask the server for the model. Raises UserError where it has none, or not one of ours."""
        fault = self._grpc.InferenceServerException
        try:
            self._client.is_server_live(client_timeout=CONNECT_S)
        except fault as error:
            raise UserError(
                f"No Triton answers at {self._url} ({_reason(error)}); start it, or correct "
                "the address, which takes Triton's gRPC port, 8001 unless it was changed."
            ) from None
        try:
            answer = self._client.get_model_config(self._name, client_timeout=CONNECT_S)
            ready = self._client.is_model_ready(self._name, client_timeout=CONNECT_S)
        except fault as error:
            if error.status() == "StatusCode.NOT_FOUND":
                raise UserError(
                    f"Triton doesn't serve {self._url} ({_reason(error)}); if the model is in "
                    "Triton's repository, Triton's log says why it isn't loaded, otherwise write "
                    f"it there: {AGAIN}"
                ) from None
            ready, why = False, f" ({_reason(error)})"
        else:
            why = ""
        if not ready:
            raise UserError(
                f"{self._url} isn't ready{why}; Triton's log says whether it is still loading or "
                "failed to load."
            )
        return parse_config(self._url, answer.config)


def open_triton(url: str, fingerprint: str | None) -> TritonEncoder:
    """Open a model on a server.

    Args:
        url: triton://HOST:PORT/MODEL.
        fingerprint: of the encoder that it must be; None for any.

    Raises:
        UserError: if the address isn't valid, tritonclient is missing, no server answers, or the
            model is missing, not ready, not written by this program, or another encoder.
    """
    encoder = TritonEncoder(url)
    if fingerprint not in (None, encoder.fingerprint):
        encoder.close()
        raise UserError(
            f"{url} serves the encoder {encoder.fingerprint[:12]} and not the one asked for, "
            f"{fingerprint[:12]}; pass that one's file with --encoder, or serve this one: {AGAIN}"
        )
    return encoder


def _parse_url(url: str) -> tuple[str, str]:
    """Split an address into "host:port" and the model's name. Raises UserError."""
    parts = URL.fullmatch(url)
    if not parts or not 0 < int(parts[2]) < 65536:
        raise UserError(
            f"A model on Triton is triton://HOST:PORT/MODEL with its gRPC port, such as "
            f"triton://localhost:8001/default; got {public_address(url)!r}."
        )
    return f"{parts[1]}:{parts[2]}", parts[3]


def _load_client() -> Any:
    try:
        import tritonclient.grpc

        return tritonclient.grpc
    except (ImportError, RuntimeError):  # RuntimeError: its own, where grpcio is missing
        raise UserError(
            f'{PREFIX} needs the package tritonclient with gRPC: pip install "{PACKAGE}"'
        ) from None


def _reason(error: Any) -> str:
    """The first line of a server's or gRPC's message."""
    text = str(error.message() or error.status()).removeprefix("[request id: <id_unknown>] ")
    return first_line(text, longest=200)
