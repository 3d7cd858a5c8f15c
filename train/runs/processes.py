"""The processes of a training: those that torchrun started, else this one alone.

Lightning guesses a cluster from the variables of schedulers (SLURM_NTASKS and others). They say
what a job may use, not that this command was started in several processes.
"""

from __future__ import annotations

import os

import torch
from lightning.fabric.plugins.environments import ClusterEnvironment, LightningEnvironment
from lightning.pytorch.plugins.environments import TorchElasticEnvironment


def processes() -> int:
    """Number of processes that torchrun started, on all machines; 1 without it."""
    return _started("WORLD_SIZE")


def processes_here() -> int:
    """Number of those on this machine; 1 without torchrun."""
    return _started("LOCAL_WORLD_SIZE")


def cluster() -> ClusterEnvironment:
    """What Lightning is to know of the processes."""
    if torch.distributed.is_torchelastic_launched():
        return TorchElasticEnvironment()
    alone = LightningEnvironment()
    alone.set_global_rank(0)  # else SLURM_PROCID or RANK says which process logs
    return alone


def _started(variable: str) -> int:
    return int(os.environ[variable]) if torch.distributed.is_torchelastic_launched() else 1
