"""Detector, encoder, gallery and calibration, opened together."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from calibration.threshold import Calibration, calibration_path, default_calibration, load
from engines.encoder import Encoder, encoder_path, open_encoder
from engines.errors import UserError, at_end
from engines.say import warn
from realtime.gallery.gallery import Gallery, GalleryIndex
from realtime.hands.cutting import cut_hand, embed_hands
from realtime.hands.detector import Detector
from realtime.hands.opening import open_detector
from realtime.recognition.match import Matcher
from realtime.recognition.pipeline import Pipeline
from realtime.recognition.references import References
from realtime.settings import GALLERY, Settings
from realtime.types import Detection, Frame, FrameResult, GestureEvent, Hand, Match


class Recognizer:
    """Recognises gestures in frames. Use it as a context manager.

    Args:
        video: frames follow one another; False for unrelated pictures.
    Attributes:
        index: the gallery's embeddings, as they are matched now.
        calibration: the operating point.
    Raises:
        UserError: the encoder, the gallery or the hand model can't be opened.
    """

    def __init__(self, settings: Settings, video: bool = True) -> None:
        with ExitStack() as self._stack:  # closed again where not all can be opened
            self._open(settings, video)
            self._stack = self._stack.pop_all()

    def _open(self, settings: Settings, video: bool) -> None:
        self.settings = settings
        self.encoder = open_encoder(settings.encoder, settings.engine)
        self._stack.enter_context(at_end(self.encoder.close))
        self.calibration = open_calibration(settings.encoder, self.encoder, settings.far)
        self.gallery = Gallery(Path(settings.gallery or GALLERY))
        self.detector = self._stack.enter_context(self.open_detector(video, settings.hands))
        nothing = np.zeros((0, self.encoder.spec.dim), np.float32)
        self._pipeline = Pipeline(
            self.detector,
            self.encoder,
            Matcher(self.encoder.spec, (), nothing, self.calibration),
        )
        self._references = References(self.gallery, self.encoder, settings.mirror_hands)
        self._stack.callback(self._references.close)
        self.refresh()

    def open_detector(self, video: bool, max_hands: int = 2) -> Detector:
        """Open another hand detector like the recognizer's own. Raises UserError.

        Args:
            video: frames follow one another; False for unrelated pictures.
            max_hands: how many hands are looked for.
        """
        return open_detector(
            self.settings.detector,
            self.encoder,
            video=video,
            max_hands=max_hands,
            mirror_hands=self.settings.mirror_hands,
            model=self.settings.hand_model,
            every_frame=self.settings.every_frame,
        )

    def cut(self, image: np.ndarray, detection: Detection) -> Hand:
        """Cut a hand of a picture, uint8 (H, W, 3) BGR, as the recognizer's detectors do."""
        mirror = self.settings.mirror_hands and not self.encoder.spec.one_pass
        return cut_hand(image, detection, self.encoder.spec.crop_size, mirror)

    def refresh(self, newest: int | None = None) -> None:
        """Take in what changed in the gallery, by whichever program.

        Args:
            newest: of references that were never embedded, only so many come in at once, the
                newest; the others follow while frames go on. None: all.
        """
        self._take(self._references.read(newest))

    def _take(self, index: GalleryIndex) -> None:
        self.index = index
        self._pipeline.matcher = self._matcher()

    @functools.cached_property
    def still_detector(self) -> Detector:
        """A detector for pictures that stand alone, as references do."""
        return self._stack.enter_context(self.open_detector(video=False, max_hands=1))

    def warm_up_enrolment(self) -> None:
        """Open what enrolment needs, so that naming doesn't hold the frames up."""
        _ = self.still_detector

    def set_operating_point(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self._pipeline.matcher.calibration = calibration

    def step(self, frame: Frame) -> FrameResult:
        """Recognise in the next frame."""
        if (index := self._references.poll()) is not None:
            self._take(index)
        return self._pipeline.step(frame)

    def look_closely(self, closely: bool) -> None:
        """Have each frame's hands seen anew, as a recording needs, or no longer."""
        self.detector.skip_still = not closely and not self.settings.every_frame

    def mute(self, hand: Hand) -> None:
        """Let a hand start nothing until `unmute`. What it holds ends with the next frame."""
        self._pipeline.mute(hand)

    def unmute(self) -> None:
        self._pipeline.unmute()

    def finish(self) -> tuple[GestureEvent, ...]:
        """The ends of what is still held when the source is over."""
        return self._pipeline.finish()

    def match(self, hand: Hand, ignore: str | None = None) -> Match:
        """One hand against the gallery as it is now, without the gesture `ignore`."""
        embedding = embed_hands(self.encoder, [hand])
        return self._matcher(ignore).match(embedding, [hand.side])[0]

    def _matcher(self, ignore: str | None = None) -> Matcher:
        index = self.index if ignore is None else self.index.without(ignore)
        return Matcher(
            self.encoder.spec,
            index.labels,
            index.embeddings,
            self.calibration,
            index.sides,
            apart=self.encoder.spec.one_pass or not self.settings.mirror_hands,
            negative=index.negative,
            fars=dict(index.fars),
        )

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_calibration(name: str, encoder: Encoder, far: float | None) -> Calibration:
    """The calibration beside the encoder, at `far` if given; without one, a stated default."""
    path = calibration_path(encoder_path(name))
    calibration = None
    if path.is_file():
        try:
            calibration = load(path, encoder.fingerprint)
        except UserError as error:
            warn(str(error))
    if calibration is None:
        calibration = default_calibration(encoder.spec.similarity, encoder.fingerprint)
        warn(
            f"{encoder.spec.name} has no calibration: matches from a similarity of "
            f"{calibration.threshold:g} on are accepted, at an unknown false-accept rate. Fit "
            f"one with: python run.py calibrate DIR --encoder {name}"
        )
    return calibration if far is None else calibration.at(far)
