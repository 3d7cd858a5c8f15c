"""One command line over everything: `python run.py --camera 0` is the main job."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import UserError
from engines.files import check_folder, check_writable
from realtime.commands import bench_engines as bench_command
from realtime.commands import options
from realtime.commands import selftest as selftest_command
from train.commands import build, quantize, training

if TYPE_CHECKING:
    from realtime.settings import Settings

VERSION = "0.1.0"


def main(argv: list[str] | None = None) -> int:
    """Run one command; → exit status: 0, 1 for a fault with its sentence, 130 for Ctrl-C."""
    parser = _parser()
    argv = _with_command(sys.argv[1:] if argv is None else argv)
    if argv[0] not in COMMANDS and not argv[0].startswith("-"):
        parser.error(f"there is no command {argv[0]!r}; there are {', '.join(COMMANDS)}")
    arguments = parser.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):  # names are Unicode, a redirected stream may not be
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # End as cleanly as by Ctrl-C; and heed SIGINT also where a script's `&` had it ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        arguments.run(arguments)
        return 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:
        install = {"onnx": 'pip install "onnx>=1.21,<2"'}.get(
            str(error.name), "pip install -r requirements.txt"
        )
        print(
            f"error: the package {error.name} is missing; install what the program needs with: "
            f"{install}",
            file=sys.stderr,
        )
        return 1
    except ImportError as error:
        advice = "Install the packages anew with: pip install --force-reinstall -r requirements.txt"
        if ".so" in str(error):  # OpenCV on a bare Linux
            advice = "On Debian and Ubuntu: apt-get install libgl1 libglib2.0-0"
        print(f"error: {error}. {advice}", file=sys.stderr)
        return 1


def _with_command(argv: list[str]) -> list[str]:
    """`run.py --camera 0` means `run.py live --camera 0`."""
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version")):
        return ["live", *argv]
    return argv


def live(arguments: argparse.Namespace) -> None:
    from realtime.live.live import Outputs, run

    outputs = Outputs(
        view=arguments.view,
        events=arguments.events,
        log_frames=arguments.log_frames,
        save=arguments.save,
        max_frames=arguments.max_frames,
    )
    run(_settings(arguments), outputs, {"program": f"one-shot-gestures {VERSION}"})


def record(arguments: argparse.Namespace) -> None:
    from realtime.live.enrol import record

    record(_settings(arguments), arguments.label, arguments.image, arguments.replace)


def gestures(arguments: argparse.Namespace) -> None:
    from realtime.gallery.archive import export_zip, import_zip
    from realtime.gallery.gallery import Gallery

    gallery = Gallery(Path(arguments.gallery or "gestures"))
    action = arguments.action
    if action == "list":
        for label, count in gallery.labels().items():
            print(f"{label}\t{count}")
        if not gallery.labels():
            print(f"No gesture is recorded in {gallery.folder}.", file=sys.stderr)
    elif action == "rename":
        gallery.rename(arguments.old, arguments.new)
        print(f"{arguments.old!r} is {arguments.new!r} now.", file=sys.stderr)
    elif action == "delete":
        gallery.delete(arguments.label)
        print(f"Deleted {arguments.label!r}.", file=sys.stderr)
    elif action == "export":
        count = export_zip(gallery, arguments.file)
        print(f"References in {arguments.file}: {count}.", file=sys.stderr)
    else:
        print(f"New references: {import_zip(gallery, arguments.file)}.", file=sys.stderr)


def embed(arguments: argparse.Namespace) -> None:
    from engines.encoder import open_encoder
    from realtime.hands.model import hand_model
    from realtime.measuring.folder import embed_folder, save_embeddings

    check_writable(arguments.out)
    with closing(open_encoder(arguments.encoder, arguments.engine)) as encoder:
        model = hand_model(arguments.hand_model)
        hands = embed_folder(check_folder(arguments.dir), [encoder], model, arguments.mirror_hands)
    save_embeddings(hands, encoder, arguments.out)
    found = int(hands.found.sum())
    print(f"{found} of {len(hands.paths)} pictures show a hand; wrote {arguments.out}.",
          file=sys.stderr)  # fmt: skip


def evaluate(arguments: argparse.Namespace) -> None:
    from engines.encoder import open_encoder
    from realtime.hands.model import hand_model
    from realtime.measuring.evaluate import evaluate
    from realtime.measuring.report import print_report
    from realtime.recognition.recognizer import open_calibration

    check_writable(arguments.json)
    with closing(open_encoder(arguments.encoder, arguments.engine)) as encoder:
        report = evaluate(
            check_folder(arguments.dir),
            check_folder(arguments.references) if arguments.references else None,
            encoder,
            hand_model(arguments.hand_model),
            arguments.mirror_hands,
            arguments.labels,
            open_calibration(arguments.encoder, encoder, arguments.far),
        )
    print_report(report)
    if arguments.json:
        try:
            arguments.json.write_text(json.dumps(report.to_json(), indent=2) + "\n")
        except OSError as error:
            raise UserError(f"--json can't write {arguments.json} ({error.strerror}).") from None


def calibrate(arguments: argparse.Namespace) -> None:
    from calibration.threshold import calibration_path, save
    from engines.encoder import encoder_path, open_encoder
    from realtime.hands.model import hand_model
    from realtime.measuring.evaluate import calibrate
    from realtime.measuring.report import print_calibration

    path = arguments.out or calibration_path(encoder_path(arguments.encoder))
    check_writable(path)
    with closing(open_encoder(arguments.encoder, arguments.engine)) as encoder:
        fitted = calibrate(
            arguments.sources,
            encoder,
            lambda: hand_model(arguments.hand_model),
            0.01 if arguments.far is None else arguments.far,
            arguments.labels,
        )
    try:
        save(fitted, path)
    except OSError as error:
        raise UserError(f"The calibration can't be written to {path} ({error.strerror}).") from None
    print_calibration(fitted, path)


def doctor(arguments: argparse.Namespace) -> None:
    if arguments.engine.endswith(selftest_command.SUFFIXES):
        return selftest_command.selftest(arguments)
    from realtime.commands.doctor import examine
    from realtime.measuring.report import print_findings

    if not print_findings(examine(arguments.encoder, arguments.engine, arguments.hand_model)):
        raise UserError("Something needs mending: see the right-hand column above.")


COMMANDS = {
    "live": (live, "recognise gestures from a camera (also without naming a command)"),
    "record": (record, "record one reference of a gesture"),
    "gestures": (gestures, "list, rename, delete, export and import recorded gestures"),
    "embed": (embed, "embed a folder of pictures into an .npz"),
    "evaluate": (evaluate, "measure one-shot accuracy and rejection on people's pictures"),
    "calibrate": (calibrate, "fit an encoder's threshold and probabilities"),
    "prepare": (training.prepare, "cut the hands out of people's pictures, once, for training"),
    "train": (training.train, "train an encoder on prepared pictures"),
    "cross-validate": (training.cross_validate, "train without each set in turn, and test on it"),
    "export": (training.export, "make an ONNX encoder of a trained checkpoint"),
    "quantize": (quantize.quantize, "make an 8-bit encoder of a float one, with a report"),
    "build": (build.build, "make a TensorRT plan of an encoder, for an NVIDIA GPU"),
    "study": (training.study, "run a classic Siamese one-shot experiment, with its report"),
    "doctor": (doctor, "check this machine, or an engine on it, and say what to do"),
    "bench-engines": (bench_command.bench_engines, "time every engine that is here"),
}


def _settings(arguments: argparse.Namespace) -> Settings:
    from realtime.settings import Settings

    names = [field.name for field in dataclasses.fields(Settings)]
    return Settings(**{name: getattr(arguments, name) for name in names})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Show a gesture once, name it, and have it recognised.",
        epilog="Without a command: live. Options of each: run.py COMMAND --help.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"one-shot-gestures {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    made = {}
    for name, (function, text) in COMMANDS.items():
        made[name] = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        made[name].set_defaults(run=function)
    for name in ("live", "record", "embed", "evaluate", "calibrate", "doctor"):
        options.encoder_options(made[name])
    for name in ("live", "record"):
        options.source_options(made[name])
    for name in ("live", "record", "embed", "evaluate"):
        made[name].add_argument("--no-mirror-hands", dest="mirror_hands", action="store_false",
                                help="keep left and right hands apart")  # fmt: skip
    for name in ("live", "record", "evaluate", "calibrate"):
        made[name].add_argument("--far", type=float, help="share of false accepts (0.01)")
    options.live_options(made["live"])
    record_parser = made["record"]
    record_parser.add_argument("label", help="the gesture's name, any text")
    record_parser.add_argument("--image", type=Path, help="record from this picture instead")
    record_parser.add_argument("--replace", action="store_true", help="drop earlier references")
    options.gesture_options(made["gestures"])
    options.picture_options(made)
    made["prepare"].add_argument("dirs", type=Path, nargs="+", metavar="DIR",
                                 help="a set: DIR/<subject>/<label>/<image>")  # fmt: skip
    made["prepare"].add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    made["prepare"].add_argument("--hand-model", metavar="FILE",
                                 help="MediaPipe's hand_landmarker.task")  # fmt: skip
    options.training_options(made["train"], made["cross-validate"], made["export"])
    quantize.options(made["quantize"])
    options.build_options(made["build"])
    options.study_options(made["study"])
    selftest_command.options(made["doctor"])
    bench_command.options(made["bench-engines"])
    return parser


if __name__ == "__main__":
    sys.exit(main())
