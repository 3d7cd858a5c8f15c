"""A start that was wrong is taught as no gesture, in a session and with `record --negative`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from realtime.live.command import Delete, Reject
from realtime.live.session import REJECT_S, Session
from realtime.recognition.recognizer import Recognizer
from realtime.settings import Settings
from run import main
from tests.cli import hand_picture
from tests.realtime.live.test_session import FPS, Script, Shown

SHOWN = ["Victory"] * 12
HALF = 8  # frames after which a gesture has started


@pytest.fixture
def recognizer(tmp_path: Path) -> Iterator[Recognizer]:
    picture = str(tmp_path / "v.png")
    cv2.imwrite(picture, hand_picture("Victory"))
    where = ["--gallery", str(tmp_path / "g")]
    assert main(["record", "ok", "--image", picture, *where]) == 0
    with Recognizer(Settings(gallery=str(tmp_path / "g"))) as opened:
        yield opened


def play(recognizer: Recognizer, names: list[str | None], **at: object) -> Script:
    session = Session(recognizer, Shown(names))
    script = Script(session, dict(at.get("at", {})))  # type: ignore[call-overload]
    session.run([script])
    return script


def test_the_hand_that_started_wrongly_starts_no_more(recognizer: Recognizer) -> None:
    reject = Reject()
    first = play(recognizer, [*SHOWN, *SHOWN], at={HALF: reject})
    assert first.kinds() == [("start", "ok"), ("end", "ok")]
    assert first.answer(reject).done and first.answer(reject).text == "Learnt that this isn't ok."
    ended = next(event for event in first.events() if event.kind == "end")
    assert ended.frame < len(SHOWN) + 6
    assert recognizer.gallery.negatives() == {"ok": 1}
    assert [label for label, _ in first.states[-1].references] == ["ok"]
    assert play(recognizer, list(SHOWN)).kinds() == []
    match = first.results[-2].matches[0]
    assert match.negative and match.label is None and match.nearest == "ok"


def test_it_is_deleted_like_the_newest_reference(recognizer: Recognizer) -> None:
    play(recognizer, [*SHOWN, *SHOWN], at={HALF: Reject()})
    play(recognizer, list(SHOWN), at={2: Delete()})
    assert recognizer.gallery.negatives() == {} and recognizer.gallery.labels() == {"ok": 1}
    assert play(recognizer, list(SHOWN)).kinds()[0] == ("start", "ok")


def test_without_a_start_there_is_nothing_to_reject(recognizer: Recognizer) -> None:
    reject = Reject()
    script = play(recognizer, [None] * 4, at={2: reject})
    assert not script.answer(reject).done
    assert script.answer(reject).text == "No gesture has started in the last 10 seconds."


def test_a_start_long_ago_is_not_meant(recognizer: Recognizer) -> None:
    gone = int((REJECT_S + 1) * FPS)
    reject = Reject()
    script = play(recognizer, [*SHOWN, *[None] * gone], at={len(SHOWN) + gone - 2: reject})
    assert not script.answer(reject).done and recognizer.gallery.negatives() == {}


def test_record_negative(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, gallery = str(tmp_path / "f.png"), str(tmp_path / "g")
    cv2.imwrite(picture, hand_picture("Fist"))
    record = ["record", "ok", "--image", picture, "--gallery", gallery]
    assert main([*record, "--negative"]) == 1
    assert "has no gesture 'ok': it is empty." in capsys.readouterr().err
    assert main(record) == 0
    assert main([*record, "--negative"]) == 0
    assert f"Recorded what isn't 'ok' in {gallery}." in capsys.readouterr().err
    assert main(["record", "other", "--image", picture, "--gallery", gallery]) == 0
    assert "looks like a hand that was taught as no gesture" in capsys.readouterr().err
