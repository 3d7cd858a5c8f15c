"""An encoder on NVIDIA's Triton Inference Server. The only file that imports tritonclient.

Crops and landmarks are sent unencrypted to the host in the address.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from engines.errors import UserError, first_line
from engines.spec import preprocess
from engines.triton.config import AGAIN, NAME, TritonModel, parse_config

PREFIX = "triton://"
URL = re.compile(rf"{PREFIX}(\[[0-9a-fA-F:.]+\]|[^/:@\s\[\]]+):([0-9]{{1,5}})/({NAME})")
PACKAGE = "tritonclient[grpc]>=2.73,<3"
CONNECT_S = 5.0  # timeout of a request about the model
ENCODE_S = 10.0  # timeout of a batch; a slower server is of no use live


class TritonEncoder:
    """A model that `write_repository` wrote, used over gRPC. Threads may share it."""

    def __init__(self, url: str) -> None:
        """Raises UserError, as `open_triton` does."""
        self._url = self.engine = url
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

    def encode(
        self,
        crops: np.ndarray,
        landmarks: np.ndarray,
        world_landmarks: np.ndarray,
        turns: np.ndarray,
    ) -> np.ndarray:
        """See Encoder.encode. Raises UserError, too, where the model has become another encoder."""
        inputs = preprocess(self.spec, crops, landmarks, world_landmarks, turns)
        model = self._model
        try:
            return self._embed(inputs, model)
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
                    return self._embed(inputs, now)
                except self._grpc.InferenceServerException as error:
                    fault = error
        raise UserError(
            f"{self._url} didn't embed the hands ({_reason(fault)}); look at Triton's log, or run "
            "without it: --engine onnx"
        )

    def close(self) -> None:
        """End the connection. Closing again does nothing."""
        self._client.close()

    def _embed(self, inputs: dict[str, np.ndarray], model: TritonModel) -> np.ndarray:
        """Embed N hands in requests of at most `model.most`: (N, D)."""
        parts = [np.zeros((0, self.spec.dim), np.float32)]
        for start in range(0, len(next(iter(inputs.values()))), model.most):
            batch = {name: values[start : start + model.most] for name, values in inputs.items()}
            parts.append(self._infer(batch, model.version))
        return np.concatenate(parts)

    def _infer(self, batch: dict[str, np.ndarray], version: str) -> np.ndarray:
        tensors = []
        for name, values in batch.items():
            tensor = self._grpc.InferInput(name, list(values.shape), "FP32")
            tensor.set_data_from_numpy(values)
            tensors.append(tensor)
        answer = self._client.infer(
            self._name,
            tensors,
            model_version=version,
            outputs=[self._grpc.InferRequestedOutput("embedding")],
            client_timeout=ENCODE_S,
        )
        try:
            found = answer.as_numpy("embedding")
        except ValueError:  # fewer bytes than the shape needs
            found = None
        wanted = (len(values), self.spec.dim)
        if found is None or found.dtype != np.float32 or found.shape != wanted:
            got = "no embeddings" if found is None else f"{found.dtype} {found.shape}"
            raise UserError(
                f"{self._url} answered with {got} where its spec says float32 {wanted}; write its "
                f"repository again: {AGAIN}"
            )
        return found

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
            f"triton://localhost:8001/default; got {url!r}."
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
