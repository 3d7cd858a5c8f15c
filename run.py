"""One command line over everything: `python run.py --camera 0` is the main job."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from engines.errors import UserError, explain_missing, visible
from engines.text.addresses import hide_addresses
from realtime.quiet import part_stderr

VERSION = "0.1.0"
PROGRAM = f"one-shot-gestures {VERSION}"
# Each module has NAME, HELP, options(parser) and run(arguments), and is imported when needed.
COMMANDS = {
    "live": "realtime.commands.live",
    "record": "realtime.commands.record",
    "gestures": "realtime.commands.gestures",
    "embed": "realtime.commands.embed",
    "evaluate": "realtime.commands.evaluate",
    "calibrate": "realtime.commands.calibrate",
    "replay": "realtime.commands.replay",
    "false-alarms": "realtime.commands.measuring.false_alarms",
    "soak": "realtime.commands.measuring.soak",
    "prepare": "train.commands.prepare",
    "train": "train.commands.train",
    "cross-validate": "train.commands.cross_validate",
    "export": "train.commands.export",
    "quantize": "train.commands.quantize",
    "build": "train.commands.build",
    "study": "train.commands.study",
    "doctor": "realtime.commands.doctor",
    "bench": "realtime.commands.bench",
    "bench-engines": "realtime.commands.bench_engines",
    "compare-detectors": "realtime.commands.compare_detectors",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The command line without the program's name; None for this process's own.

    Returns:
        The exit status: 0, 1 for an error that was told in a sentence, 130 for Ctrl-C.

    Raises:
        SystemExit: With status 0 after `--help`, 2 if the command line can't be understood.
    """
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):  # names are Unicode, a redirected stream may not be
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    part_stderr()
    # SIGTERM ends as cleanly as Ctrl-C, which works even where a script's `&` had it ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    # So does a terminal that is closed, but not under nohup.
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        signal.signal(hangup, signal.default_int_handler)
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        arguments.run(arguments)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (UserError, ImportError, AttributeError) as error:
        if (sentence := _sentence(error)) is None:
            raise
        print(f"error: {visible(hide_addresses(sentence))}", file=sys.stderr)
        return 1
    return 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line; the result's `run` is the command's function, which takes it.

    Only the module of the command that is named is imported. Without a command, it is live.
    """
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version")):
        argv = ["live", *argv]
    parser = Parser(
        prog=_program_name(),
        description="Show a gesture once, name it, and have it recognised.",
        epilog="Without a command: live. Options of each: COMMAND --help.",
    )
    parser.add_argument("--version", action="version", version=PROGRAM)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    if argv[0] not in COMMANDS and not argv[0].startswith("-"):
        parser.error(f"there is no command {argv[0]!r}; there are {', '.join(COMMANDS)}")
    named = [argv[0]] if argv[0] in COMMANDS else []
    for name in COMMANDS if argv[0] in ("-h", "--help") else named:
        module = importlib.import_module(COMMANDS[name])
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        if name == argv[0]:
            module.options(command)
            command.set_defaults(run=module.run, program=PROGRAM)
    return parser.parse_args(argv)


def _open_missing_streams() -> None:
    """Open the null device in place of every standard stream that is closed.

    Python leaves such a stream None, and the system gives its number to the next file that is
    opened: messages that libraries write to descriptor 2 would end up in that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _program_name() -> str:
    """What the person typed: run.py, or the installed command."""
    name = os.path.basename(sys.argv[0]).removesuffix(".exe")
    return name if name == "one-shot-gestures" else "run.py"


class Parser(argparse.ArgumentParser):
    """An argument parser that takes no abbreviations and reports an error in one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {visible(hide_addresses(message))} (see {self.prog} --help)\n")


def _sentence(error: UserError | ImportError | AttributeError) -> str | None:
    """What a person is told, with what to do about it; None for a fault of the program."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, AttributeError):
        return explain_missing(error)
    if isinstance(error, ModuleNotFoundError):
        module = str(error.name)
        install = {"onnx": 'pip install "onnx>=1.21,<2"'}.get(
            module, "pip install -r requirements.txt"
        )
        package = {"cv2": "opencv-python (cv2)", "pygame": "pygame-ce (pygame)"}.get(module, module)
        return f"the package {package} is missing; install what the program needs with: {install}"
    if ".so" in str(error):  # OpenCV on a bare Linux
        return f"{error}. On Debian and Ubuntu: apt-get install libgl1 libglib2.0-0"
    return (
        f"{error}. Install the packages anew with: "
        "pip install --force-reinstall -r requirements.txt"
    )


if __name__ == "__main__":
    sys.exit(main())
