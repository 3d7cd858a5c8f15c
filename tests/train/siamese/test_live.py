"""A Siamese network in the live program: exported, compared and recognising as it was trained."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("onnxscript", reason="training needs requirements-train.txt")

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from engines.encoder import open_encoder
from engines.errors import UserError
from engines.similarity import euclidean, similarity
from engines.spec import NO_POINTS, EncoderInputs, EncoderSpec
from realtime.hands.cutting import embed_hands
from realtime.hands.geometry import cut, upright_square
from realtime.hands.opening import open_detector
from realtime.sources.demo import DEMO_GESTURES
from realtime.types import Frame
from tests.cli import fine, hand_picture, main_py, parsed
from train.encoder.checkpoint import load_checkpoint
from train.encoder.export import MAX_DIFFERENCE, export
from train.runs.checkpoint import round_to_half, save_checkpoint
from train.siamese.live import CROP_SIZE, LiveSiamese, area_average, siamese_spec
from train.siamese.networks import NETWORKS, SiameseConfig, SiameseNetwork

MADE_FOR = {"weighted_l1": "asl-narrow", "euclidean": "asl-narrow", "cosine": "residual"}
SIZES = sorted({layout.size for layout in NETWORKS.values()})
NOWHERE = (*NO_POINTS, np.zeros((0, 2), np.float32))  # landmarks and turns, which none reads


def network_for(name: str) -> SiameseNetwork:
    """As after some training: normalisations have statistics, and a head has weights of its own."""
    torch.manual_seed(0)
    network = SiameseNetwork(SiameseConfig(MADE_FOR[name], name)).train()
    size = network.layout.size
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.weight.uniform_(0.3, 2.0)
                layer.bias.normal_(0.0, 0.5)
            elif isinstance(layer, nn.Conv2d) and name != "cosine":
                layer.weight.mul_(4.0)  # or else all pictures look nearly the same to it
        if network.head is not None:
            network.head.weight.normal_(0.0, 1.0)
            network.head.bias.fill_(0.75)
        for _ in range(20):
            network(torch.rand(16, 1, 1, 1) * torch.rand(16, 1, size, size))
    return network.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NAME.pt and NAME.onnx for each similarity."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("siamese")
    for name in MADE_FOR:
        save_checkpoint(network_for(name), {"for": name}, folder / f"{name}.pt")
        _, difference = export(folder / f"{name}.pt", folder / f"{name}.onnx", f"{name}-1")
        assert difference < MAX_DIFFERENCE / 20  # normalisations that are folded in cost nothing
    return folder


def loaded(folder: Path, name: str) -> SiameseNetwork:
    network, _ = load_checkpoint(folder / f"{name}.pt")
    assert isinstance(network, SiameseNetwork)
    return network


def crops(count: int, seed: int = 0) -> np.ndarray:
    """uint8 (N, CROP_SIZE, CROP_SIZE, 3): blobs of colour with noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 6, 6, 3), np.uint8)
    smooth = [cv2.resize(c, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_CUBIC) for c in coarse]
    return np.clip(
        np.stack(smooth) + rng.normal(0, 12, (count, CROP_SIZE, CROP_SIZE, 3)), 0, 255
    ).astype(np.uint8)


def as_trained(network: SiameseNetwork, rgb: np.ndarray) -> torch.Tensor:
    """Features by the way that pictures for training take: grey uint8, made small by OpenCV."""
    size = network.layout.size
    small = [
        cv2.resize(cv2.cvtColor(c, cv2.COLOR_RGB2GRAY), (size, size), interpolation=cv2.INTER_AREA)
        for c in rgb
    ]
    with torch.inference_mode():
        return network(torch.from_numpy(np.stack(small)).float()[:, None] / 255)


# -- the picture --


@pytest.mark.parametrize("size", [*SIZES, CROP_SIZE])
def test_pictures_shrink_as_opencv_shrinks_them(size: int) -> None:
    shrink = area_average(CROP_SIZE, size)
    assert shrink.shape == (size, CROP_SIZE) and shrink.dtype == np.float32
    np.testing.assert_allclose(shrink.sum(1), 1.0, atol=1e-6)
    grey = np.random.default_rng(size).random((CROP_SIZE, CROP_SIZE)).astype(np.float32)
    expected = cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(shrink @ grey @ shrink.T, expected, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.data())
def test_each_new_pixel_is_the_mean_over_its_share(old: int, data: st.DataObject) -> None:
    new = data.draw(st.integers(1, old))
    row = np.random.default_rng(old).random(old)
    # Each old pixel cut into `new` pieces: a new pixel is then `old` whole pieces.
    pieces = [value for value in row for _ in range(new)]
    expected = [sum(pieces[i * old : (i + 1) * old]) / old for i in range(new)]
    np.testing.assert_allclose(area_average(old, new) @ row, expected, atol=1e-6)


def test_the_live_picture_is_the_trained_one_but_for_rounding() -> None:
    """Two roundings, of the grey and of the small picture: less than one step of 255."""
    network = SiameseNetwork(SiameseConfig("asl-narrow"))
    seen: list[torch.Tensor] = []
    network.forward = lambda pictures: seen.append(pictures) or pictures  # type: ignore
    rgb = crops(3)
    with torch.inference_mode():
        LiveSiamese(network)(torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255)
        as_trained(network, rgb)
    live, trained = seen
    assert live.shape == trained.shape == (3, 1, 28, 28)
    assert (live - trained).abs().max() < 1 / 255
    assert live.std() > 0.05


# -- the encoder --


@pytest.mark.parametrize("name", MADE_FOR)
def test_the_live_path_gives_the_trained_features(folder: Path, name: str) -> None:
    network, rgb = loaded(folder, name), crops(5)
    encoder = open_encoder(str(folder / f"{name}.onnx"))
    found = encoder.encode(EncoderInputs(rgb, *NOWHERE))
    expected = as_trained(network, rgb).numpy()
    assert found.shape == expected.shape and found.dtype == np.float32
    # What the rounding above makes of it is little beside what tells pictures apart.
    apart = np.linalg.norm(expected - np.roll(expected, 1, axis=0), axis=1).min()
    off = np.linalg.norm(found - expected, axis=1).max()
    assert off < 0.05 * apart and apart > 0.05
    with torch.inference_mode():
        pictures = torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255
        exact = LiveSiamese(network).eval()(pictures).numpy()
    np.testing.assert_allclose(found, exact, atol=1e-5)
    alone = encoder.encode(EncoderInputs(rgb[2:3], *NOWHERE))
    np.testing.assert_allclose(alone, found[2:3], atol=1e-5)


@pytest.mark.parametrize("name", MADE_FOR)
def test_the_file_says_how_its_features_are_compared(folder: Path, name: str) -> None:
    network = loaded(folder, name)
    spec = open_encoder(str(folder / f"{name}.onnx")).spec
    assert spec == siamese_spec(network, f"{name}-1")
    assert (spec.similarity, spec.inputs, spec.crop_size) == (name, ("crop",), CROP_SIZE)
    assert spec.dim == network.layout.features
    if network.head is None:
        assert (spec.similarity_weights, spec.similarity_bias) == ((), 0.0)
    else:
        assert spec.similarity_bias == 0.75
        np.testing.assert_array_equal(spec.similarity_weights, network.head.weight[0].detach())
    head = [
        w.name for w in onnx.load(folder / f"{name}.onnx").graph.initializer if "head" in w.name
    ]
    assert head == []  # the graph ends at the features


@pytest.mark.parametrize("name", MADE_FOR)
def test_the_live_similarity_is_the_networks(folder: Path, name: str) -> None:
    network = loaded(folder, name)
    encoder = open_encoder(str(folder / f"{name}.onnx"))
    a, b = (encoder.encode(EncoderInputs(crops(n, seed), *NOWHERE)) for n, seed in ((3, 1), (4, 2)))
    b[0] = a[0]  # one pair of equals
    found = similarity(encoder.spec, a, b)
    assert found.shape == (3, 4) and found.dtype == np.float32
    with torch.inference_mode():
        scores = network.compare(torch.from_numpy(a)[:, None], torch.from_numpy(b)[None]).double()
    expected = {
        "weighted_l1": scores.sigmoid(),
        "euclidean": 1 / (1 - scores),
        "cosine": scores,
    }[name]
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-5)
    assert found.std() > 1e-4
    equal = {"weighted_l1": 1 / (1 + math.exp(-0.75)), "euclidean": 1.0, "cosine": 1.0}[name]
    assert found[0, 0] == pytest.approx(equal, abs=1e-5)


def test_halved_constants_lose_nothing(folder: Path) -> None:
    """What a normalisation was folded into isn't halved; all the rest is."""
    for name, halved in (("weighted_l1", 4), ("cosine", 0)):
        stored = {
            w.name: numpy_helper.to_array(w)
            for w in onnx.load(folder / f"{name}.onnx").graph.initializer
        }
        kinds = [value.dtype for value in stored.values()]
        assert kinds.count(np.dtype(np.float16)) >= halved
        assert {stored[key].dtype for key in stored if "shrink" in key} == {np.dtype(np.float32)}
    assert (folder / "weighted_l1.onnx").stat().st_size < 2e6


@pytest.mark.parametrize("name", MADE_FOR)
def test_what_is_stored_is_what_was_measured(name: str, tmp_path: Path) -> None:
    """Rounded before, the network on disk gives every score to the bit."""
    network = round_to_half(network_for(name))
    save_checkpoint(network, {}, tmp_path / "x.pt")
    again, _ = load_checkpoint(tmp_path / "x.pt")
    size = network.layout.size
    pictures = torch.rand(4, 1, size, size)
    with torch.inference_mode():
        assert torch.equal(network(pictures), again(pictures))
        assert (network(pictures) - network_for(name)(pictures)).abs().max() > 0


# -- comparing --


@settings(deadline=None)
@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 6), st.integers(0, 99))
def test_the_euclidean_similarity_against_a_slow_loop(n: int, m: int, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 3, (n, dim)), rng.normal(0, 3, (m, dim))
    spec = EncoderSpec("trial", ("crop",), dim, "euclidean")
    expected = np.array([[1 / (1 + math.dist(x, y)) for y in b] for x in a]).reshape(n, m)
    np.testing.assert_allclose(euclidean(a, b), expected, rtol=1e-12)
    found = similarity(spec, a.astype(np.float32), b.astype(np.float32))
    assert found.dtype == np.float32 and found.shape == (n, m)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_equal_features_are_wholly_alike_and_far_ones_not_at_all() -> None:
    a = np.array([[1.0, 2.0], [1e6, 0.0]])
    found = euclidean(a, a)
    assert found[0, 0] == found[1, 1] == 1.0 and 0 < found[0, 1] == found[1, 0] < 2e-6


def test_a_spec_takes_only_known_similarities() -> None:
    with pytest.raises(UserError, match="euclidean.*got 'manhattan'"):
        EncoderSpec("trial", ("crop",), 4, "manhattan")
    with pytest.raises(UserError, match="needs 4 weights, one per feature; got 0"):
        EncoderSpec("trial", ("crop",), 4, "weighted_l1")


# -- the whole program --


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_engines_detector_cuts_hands_for_it(folder: Path, side: str) -> None:
    """It finds no landmarks: it gets the crop that hand.onnx led to, left hands as right ones."""
    encoder, picture = open_encoder(str(folder / "weighted_l1.onnx")), hand_picture("L", side)
    with open_detector("engine", encoder, video=False) as detector:
        (hand,) = detector.detect(Frame(picture, 0, 0.0))
    assert hand.side == side and hand.mirrored == (side == "left") and hand.embedding is None
    crop = cut(picture, upright_square(hand.landmarks), CROP_SIZE, hand.mirrored)
    assert np.array_equal(hand.crop, crop)
    found = embed_hands(encoder, [hand])
    assert np.array_equal(found, encoder.encode(EncoderInputs(crop[None], *NOWHERE)))


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE_FOR)
def test_the_program_runs_with_it(
    folder: Path, tmp_path: Path, hand_model_path: Path, name: str
) -> None:
    encoder = folder / f"{name}.onnx"
    options = ("--camera", "demo", "--view", "none", "--events", "-", "--log-frames")
    run = fine(main_py(*options, "--encoder", encoder, "--max-frames", 60, cwd=tmp_path))
    header, _, frames = parsed(run.stdout)
    assert f"{name}-1 has no calibration" in run.stderr
    assert (header["encoder"], header["gestures"]) == (f"{name}-1", sorted(DEMO_GESTURES))
    assert header["fingerprint"] == open_encoder(str(encoder)).fingerprint
    assert [line["frame"] for line in frames] == list(range(60))
    hands = [hand for line in frames for hand in line["hands"]]
    assert len(hands) >= 54
    assert all(hand["nearest"] in DEMO_GESTURES for hand in hands)
    assert len({hand["score"] for hand in hands}) > 3
    assert all(0 < hand["score"] <= 1 for hand in hands)
