"""What a scheduler's job may use says nothing about the processes of a training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("lightning", reason="training needs requirements-train.txt")
pytest.importorskip("tensorboard", reason="training needs requirements-train.txt")

from lightning.pytorch.plugins.environments import TorchElasticEnvironment

from tests.cli import PATIENCE_S, ROOT, environment
from tests.train.encoder.training import SMALL, equal, make_quick, weights_of, write_drawn
from train.encoder import fit
from train.runs.processes import cluster, processes, processes_here

SLURM = {
    "SLURM_NTASKS": "4",
    "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_JOB_ID": "77",
    "SLURM_JOB_NAME": "train",
    "SLURM_NODELIST": "node[1-4]",
    "SLURM_NNODES": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "3",
    "SLURM_NODEID": "1",
}
LSF = {
    "LSB_JOBID": "77",
    "LSB_DJOB_RANKFILE": "nowhere",
    "JSM_NAMESPACE_LOCAL_RANK": "1",
    "JSM_NAMESPACE_RANK": "1",
    "JSM_NAMESPACE_SIZE": "2",
}
JOB = {"WORLD_SIZE": "4", "RANK": "2", "MASTER_ADDR": "nowhere", "MASTER_PORT": "1"}  # PyTorchJob
TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "3", "RANK": "1"}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drawn(tmp_path_factory.mktemp("drawn") / "drawn.npz", {"one": (2, 5, 3)})


@pytest.fixture(scope="module")
def plain(drawn: Path) -> Path:
    """A run without such variables."""
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        out, features = drawn.with_name("plain"), drawn.with_name("features")
        return fit.train("small", SMALL, [drawn], [], out, features)


@pytest.mark.parametrize("variables", [SLURM, LSF, JOB, SLURM | LSF | JOB], ids=lambda v: [*v][0])
def test_a_job_trains_like_any_other_command(
    drawn: Path, plain: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    """In a process of its own: Lightning reads some of them when it is imported."""
    words = ["train", "--recipe", "small", "--data", drawn, "--out", tmp_path / "run"]
    words += ["--features", drawn.with_name("features")]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.train.encoder.training", *map(str, words)],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert ended.returncode == 0, ended.stderr
    assert equal(weights_of(tmp_path / "run/encoder.pt"), weights_of(plain))
    assert list((tmp_path / "run/tensorboard/version_0").iterdir())


def test_torchrun_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (processes(), processes_here()) == (1, 1)
    for name, value in (SLURM | TORCHRUN).items():
        monkeypatch.setenv(name, value)
    assert (processes(), processes_here()) == (6, 3)
    assert isinstance(cluster(), TorchElasticEnvironment)
