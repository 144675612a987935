"""MoveNet MultiPose Lightning: up to six people in a picture, on a CPU.

    persons = MoveNet()(image)      # (H, W, 3) uint8 RGB -> (P, 18, 3): x, y in pixels, score

Google's model (Apache-2.0) is a TensorFlow Lite file that takes pictures whose sides are multiples of 32; tools/get_models.py
fetches it, and so does the first use.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from feeder.pose.fetch import fetch_model
from feeder.skeleton import load_skeleton, remap
from feeder.video.opencv import cv2
from torchlight.errors import DataError
from torchlight.machine import cores

PERSON, JOINT = 0.18, 0.25  # a person counts from this score on, a joint with less is missing
MULTIPLE = 32


class MoveNet:
    """Finds people in pictures. An object belongs to one thread.

    Args:
        path: the .tflite file; None: models/movenet.tflite, fetched if it is not there.
        long_side: pixels of the longer side of what the network sees; 256 is faster, 320 sees smaller people.
        num_thread: None: all cores but one, which draws and encodes meanwhile.
    """

    layout = "openpose"

    def __init__(self, path: str | Path | None = None, long_side: int = 320, num_thread: int | None = None) -> None:
        if long_side < MULTIPLE:
            raise DataError(f"long_side is {long_side}; MoveNet needs {MULTIPLE} or more")
        self.num_thread = num_thread or max(1, cores() - 1)
        path = Path(path) if path is not None else fetch_model("movenet")
        with path.open("rb"):  # a file that is not there or not ours to read is an OSError, as everywhere
            pass
        try:
            with quiet_stderr():
                self.network = Interpreter(str(path), num_threads=self.num_thread)
            self.input, self.output = self.network.get_input_details()[0], self.network.get_output_details()[0]
        except (ValueError, RuntimeError) as error:
            raise DataError(f"{path}: not a TensorFlow Lite model ({' '.join(str(error).split())})") from None
        if self.output["shape"].tolist() != [1, 6, 56]:
            raise DataError(f"{path}: not MoveNet MultiPose; its output is {self.output['shape'].tolist()}")
        self.long_side, self.shape = long_side, (0, 0, 0, 0)
        self.coco, self.openpose = load_skeleton("coco"), load_skeleton(self.layout)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (P, 18, 3) float32, P up to 6: x, y in pixels of the image, score; 0 where missing."""
        persons = self.find(image)
        persons[persons[..., 2] < JOINT] = 0
        persons = remap(persons, self.coco, self.openpose)
        return persons[persons.any((1, 2))]

    def find(self, image: np.ndarray) -> np.ndarray:
        """The persons with all of the 17 joints of coco (P, 17, 3), unsure ones too."""
        height, width = image.shape[:2]
        scale = self.long_side / max(height, width)
        small = max(round(width * scale), 1), max(round(height * scale), 1)
        padded = np.zeros((1, _up(small[1]), _up(small[0]), 3), np.uint8)
        padded[0, : small[1], : small[0]] = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        if padded.shape != self.shape:
            with quiet_stderr():
                self.network.resize_tensor_input(self.input["index"], padded.shape)
                self.network.allocate_tensors()
            self.shape = padded.shape
        self.network.set_tensor(self.input["index"], padded)
        self.network.invoke()
        rows = self.network.get_tensor(self.output["index"])[0]  # (6, 17 * (y, x, score) + box + score)
        found = rows[rows[:, 55] >= PERSON, :51].reshape(-1, 17, 3)
        # Coordinates are fractions of the padded picture; each axis was scaled by its own rounded factor.
        pixels = np.array([padded.shape[2] * width / small[0], padded.shape[1] * height / small[1]], np.float32)
        return np.concatenate([found[..., 1::-1] * pixels, found[..., 2:]], -1)


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """TensorFlow Lite greets on stderr whatever its settings say."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _up(side: int) -> int:
    return -(-side // MULTIPLE) * MULTIPLE
