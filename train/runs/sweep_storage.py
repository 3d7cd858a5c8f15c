"""The database of a sweep, which several machines open at one instant and share.

Whoever comes first makes its tables, and the others meet them half made or locked. So what passes
is tried again, and the rest is told in a sentence.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import sqlalchemy
from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from engines.errors import UserError, short_reason

WAIT_S = 60.0  # for another machine that writes to an SQLite file
ATTEMPTS = 12  # to open a database, in about half a minute
PASSING = ("locked", "busy", "deadlock", "exists", "duplicate", "unique constraint")
Kinds = tuple[type[Exception], ...]
OF_STORAGE: Kinds = (SQLAlchemyError, OptunaError)


def file_url(path: Path) -> str:
    """The URL of an SQLite file, whatever characters its path has."""
    url = sqlalchemy.URL.create("sqlite", database=str(path.absolute()))
    text = url.render_as_string(hide_password=False)
    return text.replace("{", "{{").replace("}", "}}")  # Optuna fills in what stands in braces


def open_table(url: str, name: str) -> optuna.Study:
    """Open the table of trials of that name, or make it.

    Args:
        url: The database's URL.
        name: The table's name, the same for all machines that share it.

    Raises:
        UserError: The database can't be used.
    """
    with explain_storage(url, (Exception,)):  # a wrong URL fails in a dozen ways
        for attempt in range(1, ATTEMPTS):
            try:
                return _open(url, name)
            except OF_STORAGE as error:
                if not _passes(error):
                    raise
            time.sleep(random.uniform(0.05, min(5.0, 0.1 * 2**attempt)))
        return _open(url, name)


def _open(url: str, name: str) -> optuna.Study:
    is_file = sqlalchemy.make_url(url).get_backend_name() == "sqlite"
    options = {"connect_args": {"timeout": WAIT_S}} if is_file else {}
    return optuna.create_study(
        storage=RDBStorage(url, options),
        study_name=name,
        direction="maximize",
        load_if_exists=True,
    )


@contextlib.contextmanager
def explain_storage(url: str, kinds: Kinds = OF_STORAGE) -> Iterator[None]:
    """Turn what a database raises into a UserError.

    Args:
        url: The database's URL; its password isn't shown.
        kinds: The exceptions.
    """
    try:
        yield
    except UserError:
        raise
    except kinds as error:
        remedy = (
            "Expected a database URL such as sqlite:////shared/sweep.db. Correct --storage, or "
            "leave it out."
        )
        if "full" in str(error):
            remedy = "Make room there; the same command goes on where it was."
        if _passes(error):
            remedy = "Another program uses it: wait for that, and the same command goes on."
        cause = error.__cause__ or error  # SQLAlchemy's own says the driver's name, too
        reason = short_reason(cause.__cause__ or cause)
        raise UserError(
            f"The sweep's storage {_shown(url)} can't be used ({reason}). {remedy}"
        ) from None


def _passes(error: BaseException) -> bool:
    """Whether it is only that others use the database at the same time."""
    said = f"{error} {error.__cause__ or ''} {type(error).__name__}".lower()
    return any(word in said for word in PASSING)


def _shown(url: str) -> str:
    try:
        return sqlalchemy.make_url(url).render_as_string(hide_password=True)
    except Exception:  # it is no URL, so nobody knows what in it is secret
        return "of --storage"
