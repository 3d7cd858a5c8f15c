"""`run.py doctor`: what is here, what is missing, and what to do about it."""

from __future__ import annotations

import argparse

from engines.errors import UserError
from realtime.commands import selftest
from realtime.commands.options import encoder_options

NAME = "doctor"
HELP = "check this machine, or an engine on it, and say what to do"


def options(parser: argparse.ArgumentParser) -> None:
    encoder_options(parser)
    selftest.options(parser)


def run(arguments: argparse.Namespace) -> None:
    if arguments.engine.endswith(selftest.SUFFIXES):
        return selftest.selftest(arguments)
    from realtime.commands.examine import examine
    from realtime.measuring.report import print_findings

    if not print_findings(examine(arguments.encoder, arguments.engine, arguments.hand_model)):
        raise UserError("Something needs mending: see the right-hand column above.")
