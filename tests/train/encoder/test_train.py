"""Training: what it learns, and that a run killed anywhere ends as one that wasn't."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("lightning", reason="training needs requirements-train.txt")
pytest.importorskip("tensorboard", reason="training needs requirements-train.txt")

import lightning
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn import functional

from calibration.episodes import LabelledEmbeddings, across
from engines.errors import UserError
from tests.cli import PATIENCE_S, ROOT, environment
from tests.train.encoder.training import (
    KILL_AT,
    MODEL,
    SMALL,
    dies_at,
    equal,
    make_quick,
    weights_of,
    write_drawn,
)
from train.backbone.backbone import INPUT_SIZE, load_backbone
from train.backbone.landmark_baseline import mean_features
from train.encoder import data, fit
from train.encoder.batches import index_hands
from train.encoder.checkpoint import load_checkpoint
from train.encoder.data import load_banks, load_data
from train.encoder.features import Bank, detect, synthetic_features
from train.encoder.fit import SCORE, HeadBatches, HeadTraining, WhitenedBanks, one_shot_accuracy
from train.encoder.model import GEOMETRY, GestureEncoder, Head, ModelConfig
from train.encoder.recipes import Recipe
from train.encoder.whitening import fit_whitening, whiten
from train.runs.checkpoint import round_to_half, save_checkpoint

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
SETS = {"one": (2, 5, 3), "two": (1, 5, 3)}  # people, labels, pictures of each


class Killed(BaseException):
    """As sudden as a signal, within this process."""


def die() -> None:
    raise Killed


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drawn(tmp_path_factory.mktemp("drawn") / "drawn.npz", SETS)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)


@pytest.fixture(scope="module")
def trained(drawn: Path) -> Callable[..., Path]:
    """Train in a folder, with features shared by all runs → the checkpoint."""

    def train(out: Path, recipe: Recipe = SMALL, name: str = "small", without=()) -> Path:
        features = drawn.with_name("features")
        return fit.train(name, recipe, [drawn], [*without], out, features)

    return train


@pytest.fixture(scope="module")
def whole(trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        trained(folder)
    return folder


def state(folder: Path, name: str = "last") -> dict[str, Any]:
    return torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)


def logged(folder: Path) -> list[float]:
    """The loss of each epoch, from the one file that TensorBoard reads."""
    events = EventAccumulator(str(folder / "tensorboard/version_0"))
    events.Reload()
    return [event.value for event in events.Scalars("loss")]


def same_run(one: Path, other: Path) -> bool:
    """Equal in every bit of the encoder, of its description and of the last epoch's state."""
    described = [load_checkpoint(folder / "encoder.pt")[1] for folder in (one, other)]
    last = [state(folder) for folder in (one, other)]
    moments = [
        {
            f"{i} {key}": value
            for i, of in enumerate(each["optimizer_states"][0]["state"].values())
            for key, value in of.items()
        }
        for each in last
    ]
    return (
        described[0] == described[1]
        and equal(weights_of(one / "encoder.pt"), weights_of(other / "encoder.pt"))
        and equal(last[0]["state_dict"], last[1]["state_dict"])
        and equal(moments[0], moments[1])
        and last[0]["lr_schedulers"] == last[1]["lr_schedulers"]
        and last[0]["epoch"] == last[1]["epoch"]
    )


# -- a run that is killed --


class Steps(list):
    """(epoch, step) of each batch that is trained on."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        train = HeadTraining.training_step

        def training_step(module: Any, batch: Any, batch_idx: int) -> Any:
            self.append((module.current_epoch, batch_idx))
            return train(module, batch, batch_idx)

        patch.setattr(HeadTraining, "training_step", training_step)


@pytest.mark.parametrize(("epoch", "step", "again"), [(0, 2, 0), (1, 0, 1), (2, 1, 2), (4, 3, 4)])
def test_killed_amid_an_epoch_it_repeats_only_that(
    trained, whole: Path, tmp_path: Path, monkeypatch, epoch: int, step: int, again: int
) -> None:
    with monkeypatch.context() as patch:
        dies_at(patch, epoch, step, die)
        with pytest.raises(Killed):
            trained(tmp_path)
    assert not (tmp_path / "encoder.pt").exists()
    steps = Steps(monkeypatch)
    trained(tmp_path)
    assert steps == [(e, s) for e in range(again, SMALL.epochs) for s in range(SMALL.steps)]
    assert same_run(tmp_path, whole)


@pytest.mark.parametrize(("file", "time"), [("best", 1), ("last", 1), ("last", 3), ("last", 5)])
def test_killed_before_a_state_is_kept_it_goes_on(
    trained, whole: Path, tmp_path: Path, monkeypatch, file: str, time: int
) -> None:
    save, left = lightning.Trainer.save_checkpoint, [time]

    def saving(trainer: Any, path: Any, *arguments: Any, **options: Any) -> None:
        left[0] -= Path(path).stem == file
        if left[0] == 0:
            die()
        save(trainer, path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(lightning.Trainer, "save_checkpoint", saving)
        with pytest.raises(Killed):
            trained(tmp_path)
    trained(tmp_path)
    assert same_run(tmp_path, whole)


def test_killed_before_the_end_it_trains_no_more(
    trained, whole: Path, tmp_path: Path, monkeypatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(fit, "save_checkpoint", lambda *_: die())
        with pytest.raises(Killed):
            trained(tmp_path)
    steps = Steps(monkeypatch)
    trained(tmp_path)
    assert steps == [] and same_run(tmp_path, whole)


def test_killed_twice_and_out_of_patience(trained, tmp_path: Path, monkeypatch) -> None:
    """Epochs without a better score are counted across kills, and the end is remembered."""
    scores = iter([0.3, 0.5, 0.4, 0.4, 0.9, 0.9])
    monkeypatch.setattr(fit, "one_shot_accuracy", lambda *_: next(scores))
    impatient = dataclasses.replace(SMALL, patience=2)
    steps = Steps(monkeypatch)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        dies_at(patch, 3, 0, die)
        trained(tmp_path, impatient)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(fit, "save_checkpoint", lambda *_: die())
        trained(tmp_path, impatient)
    trained(tmp_path, impatient)
    assert sorted(set(steps)) == [(e, s) for e in range(4) for s in range(SMALL.steps)]
    figures = load_checkpoint(tmp_path / "encoder.pt")[1]["figures"]
    assert figures == {SCORE: pytest.approx(0.5), "epochs": 4.0}
    assert state(tmp_path, "best")["epoch"] == 1


def test_the_weights_are_the_best_epochs(trained, tmp_path: Path, monkeypatch) -> None:
    scores = iter([0.3, 0.6, 0.2, 0.5, 0.1])
    monkeypatch.setattr(fit, "one_shot_accuracy", lambda *_: next(scores))
    kept: list[Head] = []
    fold = fit.fold_linear

    def fold_and_keep(head: Head, within: torch.nn.Linear) -> Head:
        kept.append(head)
        return fold(head, within)

    monkeypatch.setattr(fit, "fold_linear", fold_and_keep)
    trained(tmp_path)
    best = state(tmp_path, "best")
    assert best["epoch"] == 1 and state(tmp_path)["epoch"] == 4
    stored = {name.removeprefix("head."): value for name, value in best["state_dict"].items()}
    assert equal(kept[0].state_dict(), stored)


def test_a_finished_run_does_nothing_and_says_so(trained, whole: Path, monkeypatch, capsys) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    monkeypatch.setattr(fit, "load_banks", None)
    assert trained(whole) == whole / "encoder.pt"
    said = capsys.readouterr().err
    assert said == f"{whole / 'encoder.pt'} exists already, from the same recipe and data.\n"
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_another_seed_is_another_run(trained, whole: Path, tmp_path: Path) -> None:
    trained(tmp_path, dataclasses.replace(SMALL, seed=1))
    assert not equal(state(tmp_path)["state_dict"], state(whole)["state_dict"])


def test_without_drawn_gestures(trained, tmp_path: Path) -> None:
    checkpoint = trained(tmp_path, dataclasses.replace(SMALL, synthetic_share=0.0, epochs=1))
    assert load_checkpoint(checkpoint)[1]["synthetic_share"] == 0.0


def test_what_was_trained_on_is_said(whole: Path) -> None:
    _, about = load_checkpoint(whole / "encoder.pt")
    assert about["recipe"] == "small" and about["data"] == ["drawn.npz"]
    assert about["sets"] == {"one": [30, 2, 5], "two": [15, 1, 5]}
    assert about["model"] == json.loads(json.dumps(MODEL.to_dict()))
    assert 0 < about["figures"][SCORE] < 1 and about["figures"]["epochs"] == 5
    files = {path.relative_to(whole).parts[0] for path in whole.rglob("*")}
    assert files == {"run.json", "checkpoints", "tensorboard", "encoder.pt"}


# -- as a person's shell starts it --


def start(
    drawn: Path,
    out: Path,
    *more: object,
    launcher: tuple[str, ...] = (),
    kill_at: str | None = None,
) -> subprocess.Popen[str]:
    """run.py train with the small recipes, as its own process."""
    options = (
        "train",
        "--recipe",
        "small",
        "--data",
        drawn,
        "--out",
        out,
        "--features",
        drawn.with_name("features"),
        *more,
    )
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "tests.train.encoder.training", *map(str, options)],
        cwd=ROOT,
        env=environment(OMP_NUM_THREADS="1", **{KILL_AT: kill_at}),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and stderr; nothing may be on stdout."""
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    except BaseException:
        process.kill()
        raise
    assert out == ""
    return process.returncode, err


@POSIX
@pytest.mark.slow
def test_a_true_kill_and_ctrl_c_and_then_the_same_command(
    drawn: Path, whole: Path, tmp_path: Path
) -> None:
    status, err = ended(start(drawn, tmp_path, kill_at="2 1 SIGKILL"))
    assert (status, err) == (-signal.SIGKILL, "")
    assert state(tmp_path)["epoch"] == 1
    status, err = ended(start(drawn, tmp_path, kill_at="3 1 SIGINT"))
    kept = "Training was interrupted: the same command goes on from there.\n"
    assert (status, err) == (130, f"{kept}Stopped.\n")
    status, err = ended(start(drawn, tmp_path, kill_at="4 1 SIGTERM"))
    assert (status, err) == (130, f"{kept}Stopped.\n")
    assert state(tmp_path)["epoch"] == 3
    status, err = ended(start(drawn, tmp_path))
    path = tmp_path / "encoder.pt"
    trained = f"Trained: {path}. Next: python run.py export {path} --out FILE.onnx\n"
    assert (status, err) == (0, trained)
    assert same_run(tmp_path, whole)


@pytest.mark.slow
def test_two_processes_train_one_encoder(drawn: Path, whole: Path, tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")
    status, err = ended(start(drawn, tmp_path, launcher=launcher))
    assert status == 0, err
    assert err.count("Trained: ") == 2 and "Traceback" not in err
    assert len(list(tmp_path.rglob("*.pt"))) == 1 and len(list(tmp_path.rglob("*.ckpt"))) == 2
    assert len(list(tmp_path.rglob("events.*"))) == 1 and len(logged(tmp_path)) == SMALL.epochs
    alone, both = state(whole), state(tmp_path)
    assert both["global_step"] == alone["global_step"]  # each process has its own batches
    assert not equal(alone["state_dict"], both["state_dict"])
    model, about = load_checkpoint(tmp_path / "encoder.pt")
    assert about["figures"]["epochs"] == SMALL.epochs
    with torch.inference_mode():
        found = model(torch.rand(3, 3, 64, 64), torch.rand(3, 2))
    torch.testing.assert_close(found.embedding.norm(dim=1), torch.ones(3))
    # The command again, alone: the run is done.
    status, err = ended(start(drawn, tmp_path))
    assert status == 0 and "exists already, from the same recipe and data." in err


# -- batches --


def tiny(synthetic: bool = True) -> WhitenedBanks:
    """Real hands whose features are 0…11, view 1 of them 100 more; drawn ones are negative."""
    names = [(a, b, c) for a in "xy" for b in "AB" for c in "ppq"]
    alphabets, labels, people = (np.array(column) for column in zip(*names, strict=True))
    rows = torch.arange(12.0)[:, None]
    return WhitenedBanks(
        real=torch.stack([rows, rows + 100]),
        index=index_hands(alphabets, labels, people),
        drawn=-1 - torch.arange(16.0)[:, None] if synthetic else None,
        drawn_labels=np.repeat(np.arange(4), 4),
        held_out=rows,
        held_out_labels=labels,
        held_out_people=people,
    )


def test_each_batch_has_a_seed_of_its_own() -> None:
    recipe = dataclasses.replace(SMALL, steps=30)

    def epoch(seed: int, number: int, process: int) -> list[tuple[float, ...]]:
        batches = HeadBatches(tiny(), dataclasses.replace(recipe, seed=seed), number, process)
        assert len(batches) == 30
        return [tuple(batches[i][0][:, 0].tolist()) for i in range(30)]

    first = epoch(0, 0, 0)
    assert first == epoch(0, 0, 0)
    mixed = HeadBatches(tiny(), recipe, 0, 0)
    assert tuple(mixed[7][0][:, 0].tolist()) == first[7]  # in whatever order they are asked for
    for other in (epoch(1, 0, 0), epoch(0, 1, 0), epoch(0, 0, 1)):
        assert sum(a == b for a, b in zip(first, other, strict=True)) < 5


def test_real_and_drawn_hands_stand_in_batches_of_their_own() -> None:
    for share, low, high in ((0.0, 0, 0), (0.25, 60, 140), (1.0, 400, 400)):
        recipe = dataclasses.replace(SMALL, steps=400, synthetic_share=share)
        batches = HeadBatches(tiny(), recipe, 0, 0)
        drawn, views = 0, set()
        for i in range(400):
            rows, numbers = batches[i]
            assert rows.dtype == torch.float32 and numbers.dtype == torch.int64
            assert (rows < 0).all() or (rows >= 0).all()
            drawn += bool((rows < 0).all())
            views |= set((rows // 100).flatten().tolist()) if (rows >= 0).all() else set()
        assert low <= drawn <= high
        assert views == ({0.0, 1.0} if share < 1 else set())
    nothing = HeadBatches(tiny(synthetic=False), dataclasses.replace(SMALL, steps=50), 0, 0)
    assert all((nothing[i][0] >= 0).all() for i in range(50))


def test_the_score_is_of_references_from_others() -> None:
    """Everyone's own hands are alike; what a reference from another person names counts."""
    labels, people = np.array([*"ABAB"] * 2), np.repeat(["p", "q"], 4)
    sure = np.array([[1.0, 0.0], [0.0, 1.0]] * 4)
    assert one_shot_accuracy(sure, labels, people) == 1.0
    swapped = np.where((people == "q")[:, None], sure[:, ::-1], sure)
    assert one_shot_accuracy(swapped, labels, people) == 0.0


# -- what it learns --


def one_shot_of_twenty(embeddings: torch.Tensor, bank: Bank) -> float:
    """One-shot accuracy among twenty drawn gestures at a time, ten nearly alike pairs."""
    unit = functional.normalize(embeddings, dim=1).numpy()
    groups = bank.labels.astype(int) // 20
    parts = [
        across(
            LabelledEmbeddings(unit[here], bank.labels[here], bank.subjects[here]),
            lambda a, b: a @ b.T,
        )
        for here in (groups == group for group in np.unique(groups))
    ]
    return float(np.mean([part.correct.mean() for part in parts]))


@pytest.mark.slow
def test_new_gestures_are_told_apart_better_than_untrained(tmp_path: Path, monkeypatch) -> None:
    """On gestures from regions of pose space that neither training nor validation has seen."""
    monkeypatch.setattr("train.encoder.features.detect", detect)  # only what is seen as a hand
    config = ModelConfig(components=(100, 100, 100, 80), hidden=256, dim=128)
    recipe = Recipe(
        model=config,
        alphabets={},
        same_shapes={},
        views=1,
        synthetic_classes=640,
        synthetic_per_class=4,
        synthetic_share=0.8,
        labels=60,
        per_label=4,
        epochs=8,
        steps=40,
        patience=100,
    )
    monkeypatch.setattr(data, "HELD_OUT_CLASSES", 30)
    path = write_drawn(tmp_path / "drawn.npz", {"one": (2, 20, 3)})
    features = tmp_path / "features"
    checkpoint = fit.train("x", recipe, [path], [], tmp_path / "out", features)

    losses = logged(tmp_path / "out")
    assert len(losses) == 8 and losses[-1] < 0.8 * losses[0]
    assert max(losses[-3:]) < min(losses[:3])

    backbone = load_backbone()
    new = synthetic_features(backbone, INPUT_SIZE, 160, 4, "held_out", 77, features, "left")
    rows = new.features[0]
    real, _, _ = load_banks(load_data([path], recipe, []), recipe, backbone, features)
    model, _ = load_checkpoint(checkpoint)
    assert isinstance(model, GestureEncoder)
    trained = whiten(rows, model.whitening, model.head)
    geometry = torch.from_numpy(rows[:, -GEOMETRY:].astype(np.float32) - mean_features())
    untrained = whiten(rows, *fit_whitening(real, config.components))
    best, *others = (one_shot_of_twenty(each, new) for each in (trained, geometry, untrained))
    assert best > max(others) + 0.02


# -- checkpoints --


@pytest.fixture(scope="module")
def untrained() -> GestureEncoder:
    torch.manual_seed(0)
    return round_to_half(GestureEncoder(MODEL)).eval()


@pytest.fixture
def checkpoint(untrained: GestureEncoder, tmp_path: Path) -> Path:
    save_checkpoint(untrained, {"recipe": "small", "data": ["a.npz"]}, tmp_path / "encoder.pt")
    return tmp_path / "encoder.pt"


def unreadable(path: Path) -> str:
    with pytest.raises(UserError) as error:
        load_checkpoint(path)
    message = str(error.value)
    assert message.startswith(f"{path} ") and "\n" not in message
    assert "weights_only" not in message  # torch's own advice is to run what is inside
    return message


def test_a_checkpoint_comes_back_as_it_was(untrained: GestureEncoder, checkpoint: Path) -> None:
    model, about = load_checkpoint(checkpoint)
    assert about == {"recipe": "small", "data": ["a.npz"]}
    assert model.config == MODEL and not model.training
    assert equal(model.state_dict(), untrained.state_dict())
    inputs = torch.rand(2, 3, 64, 64), torch.rand(2, 2)
    with torch.inference_mode():
        assert all(map(torch.equal, model(*inputs), untrained(*inputs)))
    assert [path.name for path in checkpoint.parent.iterdir()] == ["encoder.pt"]


def test_a_checkpoint_holds_no_code(checkpoint: Path, monkeypatch) -> None:
    stored = torch.load(checkpoint, weights_only=True)
    assert set(stored) == {"configuration", "weights"}
    assert {value.dtype for value in stored["weights"].values()} == {torch.float16}
    assert json.loads(stored["configuration"])["format"] == 1


class Intruder:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def test_code_in_a_checkpoint_is_refused_and_not_run(checkpoint: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    stored = {**torch.load(checkpoint, weights_only=True), "more": Intruder(trace)}
    torch.save(stored, checkpoint)
    assert "it holds more than weights" in unreadable(checkpoint)
    checkpoint.write_bytes(pickle.dumps(Intruder(trace)))
    assert "it holds more than weights" in unreadable(checkpoint)
    assert not trace.exists()
    pickle.loads(checkpoint.read_bytes())
    assert trace.exists()  # the test's own trap works


def test_damaged_and_other_files_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    whole = checkpoint.read_bytes()
    for content in (b"", b"text", whole[:100], whole[: len(whole) // 2], whole[:-1]):
        checkpoint.write_bytes(content)
        assert "is no checkpoint of this project (" in unreadable(checkpoint)
    stored = torch.load(io.BytesIO(whole), weights_only=True)
    text = json.loads(stored["configuration"])
    text["model"]["depth"] = 3
    parts = [
        [1, 2],
        {"weights": stored["weights"]},
        {**stored, "configuration": json.dumps(text)},
        {**stored, "weights": {**stored["weights"], "head.linear.bias": torch.zeros(3)}},
        {**stored, "weights": {}},
    ]
    for part in parts:
        torch.save(part, checkpoint)
        assert "is no checkpoint of this project (" in unreadable(checkpoint)
    assert "doesn't exist: name the checkpoint" in unreadable(tmp_path / "none.pt")
    assert "directory" in unreadable(tmp_path)


def test_another_format_is_told(checkpoint: Path) -> None:
    stored = torch.load(checkpoint, weights_only=True)
    text = {**json.loads(stored["configuration"]), "format": 2}
    torch.save({**stored, "configuration": json.dumps(text)}, checkpoint)
    assert "has format 2; this program reads 1. Update the program" in unreadable(checkpoint)


@pytest.mark.parametrize("kind", ["gesture", None, "other"])
def test_another_kind_is_told(checkpoint: Path, kind: str | None) -> None:
    """As the encoders were that took landmarks from a detector; the first had no kind."""
    stored = torch.load(checkpoint, weights_only=True)
    text = {**json.loads(stored["configuration"]), "kind": kind}
    if kind is None:
        del text["kind"]
    torch.save({**stored, "configuration": json.dumps(text)}, checkpoint)
    said = unreadable(checkpoint)
    assert f"holds a network of the kind '{kind or 'gesture'}'; this version" in said
    assert "reads one-pass, " in said and said.endswith("Train the encoder again.")


def test_a_place_that_cannot_be_written_is_told(untrained: GestureEncoder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no/encoder.pt can't be written \(No such file"):
        save_checkpoint(untrained, {}, tmp_path / "no/encoder.pt")


def test_the_default_encoder_takes_little_room(tmp_path: Path) -> None:
    save_checkpoint(GestureEncoder(ModelConfig()), {}, tmp_path / "encoder.pt")
    assert (tmp_path / "encoder.pt").stat().st_size <= 9e6
