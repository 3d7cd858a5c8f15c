"""`run.py gestures`: what is in the gallery, and changes to it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from realtime.commands.options import gallery_option
from realtime.settings import GALLERY

if TYPE_CHECKING:
    from realtime.gallery.gallery import Gallery

NAME = "gestures"
HELP = "list, rename, delete, undo, set, clear, export and import recorded gestures"


def options(parser: argparse.ArgumentParser) -> None:
    gallery_option(parser)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (_, text, positional) in ACTIONS.items():
        action = actions.add_parser(name, help=text, description=text)
        for argument in positional:
            action.add_argument(argument)
        if name == "set":
            action.add_argument(
                "--far",
                required=True,
                type=_rate,
                help="false-accept rate of this gesture alone, such as 0.001; none: as all others",
            )
        gallery_option(action, default=argparse.SUPPRESS)  # before the action or behind it


def _rate(text: str) -> float | None:
    try:
        return None if text == "none" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"it takes a rate, such as 0.001, or none; got {text!r}"
        ) from None


def run(arguments: argparse.Namespace) -> None:
    from engines.say import tell
    from realtime.gallery.gallery import Gallery

    act, _, positional = ACTIONS[arguments.action]
    given = [getattr(arguments, name) for name in positional]
    if arguments.action == "set":
        given.append(arguments.far)
    gallery = Gallery(Path(arguments.gallery or GALLERY))
    tell(gallery.describe())
    sentence = act(gallery, *given)
    if sentence:
        tell(sentence)


def _list(gallery: Gallery) -> str | None:
    from engines.errors import visible
    from engines.say import how_many, print_result

    views, negatives, fars = gallery.views(), gallery.negatives(), gallery.fars()
    for label, count in gallery.labels().items():
        notes = [how_many(count, "reference"), how_many(views.get(label, 0), "view")]
        if label in negatives:
            notes.append(how_many(negatives[label], "negative"))
        if label in fars:
            notes.append(f"--far {fars[label]:g}")
        print_result("\t".join([visible(label), *notes]))
    return None if views else "Record one with: python run.py record NAME"


def _rename(gallery: Gallery, old: str, new: str) -> str:
    gallery.rename(old, new)
    return f"{old!r} is {new!r} now."


def _delete(gallery: Gallery, label: str) -> str:
    gallery.delete(label)
    return f"Deleted {label!r}; `gestures undo` brings it back."


def _set(gallery: Gallery, label: str, far: float | None) -> str:
    gallery.set_far(label, far)
    rate = (
        "the false-accept rate of all others" if far is None else f"a false-accept rate of {far:g}"
    )
    return f"{label!r} has {rate} now."


def _clear(gallery: Gallery, label: str) -> str:
    count = gallery.clear_negatives(label)
    return f"Deleted what isn't {label!r} ({count}); `gestures undo` brings it back."


def _undo(gallery: Gallery) -> str:
    return f"Brought back {gallery.undo()!r}."


def _export(gallery: Gallery, file: str) -> str:
    from engines.say import how_many
    from realtime.gallery.archive import export_zip

    return f"Exported {how_many(export_zip(gallery, Path(file)), 'reference')} to {file}."


def _import(gallery: Gallery, file: str) -> str:
    from engines.say import how_many
    from realtime.gallery.archive import import_zip

    count = import_zip(gallery, Path(file))
    if not count:
        return f"Nothing new in {file}: the gallery has all that can be read of it."
    return f"Imported {how_many(count, 'reference')} from {file}."


# Of each action: what it does and gives to tell, its help, its arguments besides the gallery.
ACTIONS: dict[str, tuple[Callable[..., str | None], str, tuple[str, ...]]] = {
    "list": (
        _list,
        "print each gesture with how many references it has, and how many views they have",
        (),
    ),
    "rename": (_rename, "give a gesture another name", ("old", "new")),
    "delete": (_delete, "move a gesture with all its references to the trash", ("label",)),
    "set": (_set, "give a gesture a sensitivity of its own", ("label",)),
    "clear": (_clear, "forget what was taught as not a gesture", ("label",)),
    "undo": (_undo, "bring back what was deleted last", ()),
    "export": (_export, "write all gestures into a .zip file", ("file",)),
    "import": (_import, "add the gestures of an exported .zip file", ("file",)),
}
