"""BlazePose on MoveNet's persons: MoveNet finds them, BlazePose looks at each once more, larger and upright.

    persons = BlazePose()(image)    # (H, W, 3) uint8 RGB -> (P, 18, 3): x, y in pixels, score

BlazePose is Google's (Apache-2.0; Bazarevsky et al., BlazePose: On-device Real-time Body Pose Tracking, 2020). Its own detector
looks for a large face and misses people far away, so only its second network is used, "full" of MediaPipe 0.10: a TensorFlow
Lite file, run by the interpreter that MoveNet needs too.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from feeder.pose.fetch import fetch_model
from feeder.pose.movenet import JOINT as SURE
from feeder.pose.movenet import MoveNet, quiet_stderr
from feeder.skeleton import remap
from feeder.video.opencv import cv2
from torchlight.errors import DataError

SIDE = 256  # pixels of what the network sees
MARGIN = 1.25  # of its square around a person, as in its training
BEYOND = 1.1  # head and toes beyond the outermost joints of coco
PERSON, JOINT = 0.5, 0.25  # somebody is in the square from this score on; a joint with less is missing
APART = 0.5  # torso lengths: where the two networks differ by more (the median), BlazePose has looked at somebody else
LANDMARKS = [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]  # the 17 joints of coco among its 33
SHOULDERS, HIPS = [5, 6], [11, 12]  # of coco


class BlazePose:
    """Finds people in pictures. An object belongs to one thread.

    Args:
        long_side: pixels of the longer side of what MoveNet sees.
        num_thread: None: all cores but one, which draws and encodes meanwhile.
    """

    layout = "openpose"

    def __init__(self, long_side: int = 320, num_thread: int | None = None) -> None:
        self.movenet, path = MoveNet(long_side=long_side, num_thread=num_thread), fetch_model("blazepose")
        try:
            with quiet_stderr():
                self.network = Interpreter(str(path), num_threads=self.movenet.num_thread)
                self.network.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise DataError(f"{path}: not a TensorFlow Lite model ({' '.join(str(error).split())})") from None
        self.input = self.network.get_input_details()[0]["index"]
        outputs = {tuple(each["shape"]): each["index"] for each in self.network.get_output_details()}
        self.outputs = [outputs[shape] for shape in ((1, 195), (1, 1), (1, 64, 64, 39))]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (P, 18, 3) float32, P up to 6: x, y in pixels of the image, score; 0 where missing."""
        persons = self.movenet.find(image)  # (P, 17, 3)
        for person in persons:
            if not self.look(image, person):
                person[person[:, 2] < SURE] = 0
        persons = remap(persons, self.movenet.coco, self.movenet.openpose)
        return persons[persons.any((1, 2))]

    def look(self, image: np.ndarray, person: np.ndarray) -> bool:
        """Replace the joints of a person (17, 3) by better ones; False: the person could not be seen better."""
        middle, shoulders = person[HIPS, :2].mean(0), person[SHOULDERS, :2].mean(0)
        sure = person[:, 2] >= SURE
        torso = np.linalg.norm(shoulders - middle)
        if torso < 1 or not sure.any():
            return False
        reach = np.linalg.norm(person[sure, :2] - middle, axis=1).max()
        points = self.joints(image, middle, (shoulders - middle) / torso * max(reach, torso) * BEYOND * MARGIN)
        if points is None:
            return False
        far = np.linalg.norm(points[sure, :2] - person[sure, :2], axis=1)
        if np.median(far) > APART * torso:
            return False
        person[:] = np.where(points[:, 2:] < JOINT, 0, points)
        return True

    def joints(self, image: np.ndarray, middle: np.ndarray, up: np.ndarray) -> np.ndarray | None:
        """The joints of coco (17, 3) of who is in a square of the image; None: nobody is.

        Args:
            middle: of the square, and of the person's hips; x, y in pixels of the image.
            up: from there to the middle of the square's upper edge, along the person's back.
        """
        x, y = up * 2 / SIDE
        turn = np.array([[-y, -x], [x, -y]])  # how far a pixel of the square to the right, and down, is in the image
        corner = middle - turn @ [SIDE / 2, SIDE / 2]
        square = cv2.warpAffine(
            image, np.column_stack([turn, corner]), (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        self.network.set_tensor(self.input, square[None].astype(np.float32) / 255)
        self.network.invoke()
        points, person, heat = (self.network.get_tensor(index)[0] for index in self.outputs)
        if person.item() < PERSON:
            return None
        points = points.reshape(-1, 5)[LANDMARKS]  # (17, 5): x, y, depth; visible, in the picture, both as logits
        xy = refine(points[:, :2] / SIDE, sigmoid(heat[..., LANDMARKS])) * SIDE
        return np.column_stack([xy @ turn.T + corner, sigmoid(points[:, 3:].min(1))])


def refine(xy: np.ndarray, heat: np.ndarray, reach: int = 3, sure: float = 0.5) -> np.ndarray:
    """Joints to the mean place of the heat around them, where it is hot.

    Args:
        xy: (V, 2) fractions of the picture.
        heat: (S, S, V) from 0 to 1.
        reach: cells to each side that count.
        sure: a joint around which no cell has as much stays where it is.
    """
    side = heat.shape[0]
    cell = np.floor(xy * side).astype(int)  # (V, 2)
    place = cell[:, None] + np.arange(-reach, reach + 1)[:, None]  # (V, n, 2)
    inside = (place >= 0) & (place < side)
    x, y = place.clip(0, side - 1).transpose(2, 0, 1)  # (V, n) each
    near = heat[y[:, :, None], x[:, None, :], np.arange(len(xy))[:, None, None]]  # (V, n, n)
    near = near * inside[:, :, None, 1] * inside[:, None, :, 0]
    weight = near.sum((1, 2)).clip(1e-9)
    mean = np.column_stack([(near.sum(1) * x).sum(1), (near.sum(2) * y).sum(1)]) / weight[:, None] / side
    return np.where(near.max((1, 2))[:, None] >= sure, mean, xy)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x.astype(np.float64).clip(-50, 50)))
