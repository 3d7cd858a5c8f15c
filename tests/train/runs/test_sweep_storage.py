"""A sweep's database: opened by many at one instant, locked, and wherever its file lies."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="training needs requirements-train.txt")
pytest.importorskip("lightning", reason="training needs requirements-train.txt")

from engines.errors import UserError
from tests.cli import PATIENCE_S, ROOT, environment
from train.runs import sweep_storage
from train.runs.sweep_storage import explain_storage, file_url, open_table

MACHINES, ROUNDS = 4, 2
MACHINE = """
import sys
from pathlib import Path
from train.runs.sweep_storage import file_url, open_table
print("ready", flush=True)
for line in sys.stdin:  # a fresh database each
    table = open_table(file_url(Path(line.rstrip("\\n"))), "sweep")
    table.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    print("done", flush=True)
"""


def test_several_machines_open_a_fresh_database_at_one_instant(tmp_path: Path) -> None:
    machines = [
        subprocess.Popen(
            [sys.executable, "-c", MACHINE],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(MACHINES)
    ]
    try:
        for machine in machines:
            assert machine.stdout is not None and machine.stdout.readline() == "ready\n"
        for number in range(ROUNDS):
            for machine in machines:
                assert machine.stdin is not None
                machine.stdin.write(f"{tmp_path / str(number)}.db\n")
                machine.stdin.flush()
            for machine in machines:
                assert machine.stdout is not None
                assert machine.stdout.readline() == "done\n", machine.communicate()[1]
            shared = open_table(file_url(tmp_path / f"{number}.db"), "sweep")
            assert sorted(t.number for t in shared.get_trials()) == [*range(MACHINES)]
        for machine in machines:
            machine.communicate(timeout=PATIENCE_S)
    finally:
        for machine in machines:
            machine.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize(
    "name", ["what%20now", "100%", "{SCHEMA_VERSION}", "{x}", "a::b", "a#b", "ü ß", "a+b&c", "x@y"]
)
def test_a_path_is_no_url(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for _ in range(2):  # made, then found again
        table = open_table(file_url(folder / "sweep.db"), "sweep")
        table.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    assert len(table.get_trials()) == 2
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [path.name for path in folder.iterdir()] == ["sweep.db"]


def test_a_locked_database_is_told_as_that(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sweep_storage, "WAIT_S", 0.05)
    monkeypatch.setattr(sweep_storage, "ATTEMPTS", 2)
    path = tmp_path / "sweep.db"
    url = file_url(path)
    table = open_table(url, "sweep")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    told = r"storage sqlite:.* can't be used \(database is locked\)\. Another program uses it"
    with pytest.raises(UserError, match=told):
        open_table(url, "another")
    with pytest.raises(UserError, match=told), explain_storage(url):
        table.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    holder.close()
    assert len(open_table(url, "another").get_trials()) == 0


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret@nowhere.invalid/db",
        "mysql+nothing://me:secret@host/db",
        "me:secret@host/db",
    ],
)
def test_a_password_is_not_shown(url: str) -> None:
    with pytest.raises(UserError, match="The sweep's storage .* can't be used") as error:
        open_table(url, "sweep")
    assert "secret" not in str(error.value)


def test_a_fault_of_a_training_is_not_the_databases(tmp_path: Path) -> None:
    url = file_url(tmp_path / "sweep.db")
    table = open_table(url, "sweep")

    def objective(_: object) -> float:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError), explain_storage(url):
        table.optimize(objective, n_trials=1)
