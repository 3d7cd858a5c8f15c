"""A training whose numbers aren't finite any more ends with a sentence, and writes no network."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("lightning", reason="training needs requirements-train.txt")
pytest.importorskip("onnxscript", reason="training needs requirements-train.txt")

import torch

from engines.errors import UserError
from tests.train.encoder.training import MODEL, SMALL, make_quick, write_drawn, write_prepared
from tests.train.siamese.tasks import COSINE, grating_task
from tests.train.siamese.tasks import SMALL as SIAMESE
from train.backbone.backbone import load_backbone
from train.encoder import export as exporting
from train.encoder import fit
from train.encoder.checkpoint import load_checkpoint
from train.encoder.features import SIDES, Bank
from train.encoder.model import BLOCKS, GestureEncoder
from train.encoder.stored import load_or_compute
from train.encoder.whitening import fit_whitening
from train.pictures.prepared import load_prepared
from train.runs.checkpoint import Diverged, round_to_half, save_checkpoint
from train.runs.states import LAST
from train.siamese.networks import SiameseNetwork
from train.siamese.recipes import SiameseRecipe
from train.siamese.runs import train as train_siamese
from train.siamese.verification import score_pairs


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drawn(tmp_path_factory.mktemp("drawn") / "drawn.npz", {"one": (2, 5, 3)})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)


@pytest.fixture
def encoder() -> GestureEncoder:
    torch.manual_seed(0)
    return round_to_half(GestureEncoder(MODEL)).eval()


def break_loss(patch: pytest.MonkeyPatch, epoch: int, number: float) -> None:
    """The loss of this epoch's second batch is `number`."""
    step = fit.HeadTraining.training_step

    def training_step(self: Any, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = step(self, batch, batch_idx)
        broken = (self.current_epoch, batch_idx) == (epoch, 1)
        return loss * number if broken else loss

    patch.setattr(fit.HeadTraining, "training_step", training_step)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_it(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: float
) -> None:
    break_loss(monkeypatch, 2, number)
    features = drawn.with_name("features")
    with pytest.raises(Diverged, match=r"diverged in epoch 3: its loss isn't finite"):
        fit.train("small", SMALL, [drawn], [], tmp_path, features)
    assert not (tmp_path / "encoder.pt").exists()
    kept = torch.load(tmp_path / "checkpoints" / LAST, weights_only=True)
    assert kept["epoch"] == 1  # the last one that was well
    assert all(torch.isfinite(value).all() for value in kept["state_dict"].values())


def test_weights_that_are_not_finite_end_it(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gradient can overflow where the loss doesn't."""

    def spoil(self: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if (self.current_epoch, batch_idx) == (1, SMALL.steps - 1):
            self.head.linear.bias.data[3] = float("nan")

    monkeypatch.setattr(fit.HeadTraining, "on_train_batch_end", spoil)
    features = drawn.with_name("features")
    with pytest.raises(Diverged, match=r"diverged in epoch 2: its weights aren't finite"):
        fit.train("small", SMALL, [drawn], [], tmp_path, features)
    assert torch.load(tmp_path / "checkpoints" / LAST, weights_only=True)["epoch"] == 0
    assert not (tmp_path / "encoder.pt").exists()


def test_a_rate_far_too_high_ends_with_a_sentence(drawn: Path, tmp_path: Path) -> None:
    wild = dataclasses.replace(SMALL, learning_rate=1e30)
    with pytest.raises(Diverged, match="Lower the recipe's learning rate"):
        fit.train("wild", wild, [drawn], [], tmp_path, drawn.with_name("features"))
    assert not (tmp_path / "encoder.pt").exists()


def test_copies_of_one_picture_are_told(tmp_path: Path) -> None:
    names = [("one", person, label) for person in "pqr" for label in "AB" for _ in range(3)]
    path = write_prepared(tmp_path / "copies.npz", names)
    with pytest.raises(UserError, match="All 18 pictures are copies of one"):
        fit.train("small", SMALL, [path], [], tmp_path / "run")
    assert not (tmp_path / "run/encoder.pt").exists()


def test_features_that_do_not_differ_are_told() -> None:
    count = 18
    same = np.zeros((count, sum(BLOCKS)), np.float16)
    names = np.array([*"AB"]).repeat(count // 2)
    one = np.full(count, "one")
    bank = Bank([same], one, names, one, one, np.full(count, SIDES[0]))
    with pytest.raises(UserError, match="The pictures are too alike to train on"):
        fit_whitening(bank, MODEL.components)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 7e4])  # half precision ends at 65504
def test_no_checkpoint_has_weights_that_are_not_finite(
    encoder: GestureEncoder, tmp_path: Path, value: float
) -> None:
    with torch.no_grad():
        encoder.head.linear.bias[2] = value
    with pytest.raises(UserError, match="encoder.pt wasn't written: .* aren't finite"):
        save_checkpoint(encoder, {}, tmp_path / "encoder.pt")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Diverged, match="aren't finite numbers of half precision"):
        round_to_half(encoder)


def test_a_checkpoint_with_such_weights_is_refused(encoder: GestureEncoder, tmp_path: Path) -> None:
    path = tmp_path / "encoder.pt"
    save_checkpoint(encoder, {}, path)
    stored = torch.load(path, weights_only=True)
    stored["weights"]["head.linear.bias"][2] = float("nan")
    torch.save(stored, path)
    with pytest.raises(UserError, match=r"encoder.pt has weights that aren't finite.*Train the"):
        load_checkpoint(path)


def test_parity_that_is_no_number_exports_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """max(worst, nan) is `worst`, and nan > limit is false: neither may let it pass."""
    model = GestureEncoder(MODEL, load_backbone()).eval()
    with torch.no_grad():
        model.head.linear.bias[2] = float("nan")
    monkeypatch.setattr(exporting, "load_checkpoint", lambda _: (model, {}))
    with pytest.raises(UserError, match=r"differ by nan .*nothing was written"):
        exporting.export(tmp_path / "encoder.pt", tmp_path / "e.onnx", "broken")
    assert list(tmp_path.iterdir()) == []


def test_stored_features_are_checked_when_read(tmp_path: Path) -> None:
    rows = np.ones((5000, 3), np.float16)
    path = tmp_path / "f.npy"
    assert load_or_compute(path, rows.shape, lambda: iter([rows])).shape == rows.shape
    rows[4321, 1] = np.inf
    np.save(path, rows)
    with pytest.raises(UserError, match="f.npy is damaged: delete it"):
        load_or_compute(path, rows.shape, lambda: iter([rows]))


@pytest.mark.parametrize("name", ["landmarks", "world_landmarks", "angle"])
def test_prepared_hands_are_checked_when_read(drawn: Path, tmp_path: Path, name: str) -> None:
    with np.load(drawn) as file:
        arrays = dict(file)
    arrays[name].reshape(-1)[4] = np.nan
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(UserError, match="odd.npz is damaged"):
        load_prepared([tmp_path / "odd.npz"])


@pytest.mark.parametrize("recipe", [SIAMESE, COSINE], ids=["weighted_l1", "cosine"])
def test_a_siamese_network_that_diverges_is_not_written(
    recipe: SiameseRecipe, tmp_path: Path
) -> None:
    wild = dataclasses.replace(recipe, learning_rate=1e30)
    with pytest.raises(Diverged, match="diverged"):
        train_siamese(wild, grating_task(network=recipe.model.network), tmp_path)
    assert not (tmp_path / "network.pt").exists() and not (tmp_path / "result.json").exists()


def test_similarities_that_are_not_finite_are_told() -> None:
    task, network = grating_task(), SiameseNetwork(SIAMESE.model)
    pairs = task.validation_pairs
    assert np.isfinite(score_pairs(network, task.validation.images, pairs)).all()
    with torch.no_grad():
        assert network.head is not None
        network.head.bias.fill_(float("nan"))
    with pytest.raises(Diverged, match="similarities aren't finite"):
        score_pairs(network, task.validation.images, pairs)
    with torch.no_grad():
        next(network.parameters()).fill_(float("inf"))
    with pytest.raises(Diverged, match="features aren't finite"):
        score_pairs(network, task.validation.images, pairs)
