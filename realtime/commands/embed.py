"""`run.py embed`: the embeddings of a folder of pictures."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from realtime.commands.options import encoder_options, shown_hands_options, still_detector

NAME = "embed"
HELP = "embed a folder of pictures into an .npz"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder of pictures")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    shown_hands_options(parser)
    encoder_options(parser)


def run(arguments: argparse.Namespace) -> None:
    from engines.encoder import open_encoder
    from engines.files import check_folder, check_writable
    from engines.say import tell
    from realtime.measuring.folder import embed_folder, save_embeddings

    check_writable(arguments.out)
    with closing(open_encoder(arguments.encoder, arguments.engine)) as encoder:
        detector = still_detector(arguments)
        hands = embed_folder(
            check_folder(arguments.dir),
            [encoder],
            detector,
            arguments.mirror_hands,
            shown=arguments.hand,
        )
    save_embeddings(hands, encoder, arguments.out)
    found = int(hands.found.sum())
    tell(f"{found} of {len(hands.paths)} pictures show a hand; wrote {arguments.out}.")
