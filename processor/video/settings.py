"""The settings of a demo: what the command line, the config and the side-car of the network say, each once."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from processor.continual import ContinualRecognizer
from processor.recognizer import Recognizer

WINDOW = 64  # frames of a window, where neither the user nor the side-car says it
SHORTEST = 16  # frames of a short window, unless the window itself is shorter


@dataclass(frozen=True)
class Settings:
    """
    Attributes:
        window, stride: frames of a window and from one window to the next, at `fps`. The short windows that segments are
            made from have the half of both.
        fps: frames per second of the network's clips.
        pose: movenet, openpose or json (precomputed keypoints).
        openpose, openpose_model: OpenPose's build folder, and COCO or BODY_25.
        height: of the video that is written, in pixels.
        show: a window with the picture.
        vote: what a video is called by: "segments", or "mean", the mean of its windows.
        only_recognised: only persons who are recognised are drawn and listed.
        max_persons: of a frame; None: all.
        streaming: the network is fed frame by frame.
        output_dir: where the results go.
    """

    window: int
    stride: int
    fps: float
    pose: str
    openpose: str | None
    openpose_model: str
    height: int
    show: bool
    output_dir: Path
    vote: str = "segments"
    only_recognised: bool = False
    max_persons: int | None = None
    streaming: bool = False

    @property
    def short(self) -> int:
        return max(self.window // 2, min(self.window, SHORTEST))

    @property
    def short_stride(self) -> int:
        return max(1, self.stride // 2)

    @classmethod
    def of(cls, arg: Namespace, recognizer: Recognizer) -> Settings:
        """The options of the demo; what they leave out is that of the network. UsageError if that wants joints in 3-D."""
        recognizer.require_2d()
        window = arg.window or recognizer.window or WINDOW
        if arg.streaming:
            ContinualRecognizer(recognizer, window)  # UsageError where the network cannot
        return cls(
            window=window,
            stride=arg.stride,
            fps=arg.model_fps or recognizer.fps,
            pose=arg.pose,
            openpose=arg.openpose,
            openpose_model=arg.openpose_model,
            height=arg.height,
            show=arg.show,
            output_dir=Path(arg.output_dir),
            vote=arg.vote,
            only_recognised=arg.only_recognised,
            max_persons=arg.max_persons,
            streaming=arg.streaming,
        )
