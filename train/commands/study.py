"""`run.py study`: a classic Siamese one-shot experiment, to its report."""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.errors import UserError, short_reason
from train.commands.options import training_packages

NAME = "study"
HELP = "run a classic Siamese one-shot experiment, with its report"


def options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", metavar="NAME", help="asl-volume, faces, omniglot or gallery")
    add(
        "--data",
        type=Path,
        required=True,
        metavar="PATH",
        help="what the study learns from; see docs/siamese.md",
    )
    add(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="where the report is left; the same command goes on there",
    )
    add(
        "--size",
        default="laptop",
        metavar="full|laptop|minute",
        help="as published, for two cores, or to see that it works (%(default)s)",
    )
    add("--seeds", type=int, metavar="N", help="runs that only differ in chance (as --size says)")
    add(
        "--storage",
        metavar="URL",
        help="Optuna's, for a sweep shared by many machines (a file in --out)",
    )


def run(arguments: argparse.Namespace) -> None:
    from engines.say import print_result, tell

    with training_packages():
        from train.studies import asl_report, faces, gallery, omniglot
        from train.studies.study import Study

        studies = {
            "asl-volume": asl_report.study,
            "faces": faces.study,
            "omniglot": omniglot.study,
            "gallery": gallery.study,
        }
        if arguments.name not in studies:
            raise UserError(f"A study is one of {', '.join(studies)}; got {arguments.name!r}.")
        if arguments.storage and arguments.name != "faces":
            raise UserError(
                f"--storage is where a sweep is kept, and {arguments.name} has none: leave it out."
            )
        _check_out(arguments.out, arguments.name)
        plan = Study(
            arguments.data, arguments.out, arguments.size, arguments.seeds, arguments.storage
        )
        try:
            report = studies[arguments.name](plan)
        except BrokenPipeError:
            raise
        except OSError as error:  # where it names a file, that needn't be one in --out
            raise UserError(
                f"{error.filename or f'--out {arguments.out}'} can't be used "
                f"({short_reason(error)}). Make room, or name another folder; the same command "
                "goes on where it was."
            ) from None
    print_result(report.markdown())
    tell(f"The report, with its pictures: {arguments.out / 'report.html'}")


def _check_out(out: Path, name: str) -> None:
    """Raises UserError where another study's report lies, which this one's would take apart."""
    report = out / "report.md"
    if report.is_file() and f"run.py study {name} " not in report.read_text(encoding="utf-8"):
        raise UserError(f"{out} holds another study's report; name another folder with --out.")
