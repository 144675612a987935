"""Feeder_kinetics: straight from the JSON files of Kinetics-skeleton, without packing them first."""

from __future__ import annotations

from typing import Any

import numpy as np

from feeder.dataset import DatasetInfo
from feeder.feeder import Feeder
from feeder.readers import kinetics
from torchlight.errors import DataError


class Feeder_kinetics(Feeder):  # the original's name, which configs spell
    """Clips of kinetics_{train,val}/ as they lie there: slower than a packed data set, but ready at once.

    Samples are (3, 300, 18, num_person_out). Persons keep their identity from frame to frame, whatever pose_matching
    says, and the best of num_person_in persons a frame are kept. Clips are sorted by name; files without a label and
    labels without a file are left out and listed in `left_out`.

    Args:
        data_path: folder of the JSON files.
        label_path: the JSON of their labels, e.g. kinetics_train_label.json.
        ignore_empty_sample: leave out clips that the label file says have no skeleton.
        pose_matching: of the original; identities are always kept now.
        num_person_in: persons of a frame that are used, by score.
        num_person_out: persons of a sample, M.
        options: those of feeder.feeder.Feeder.
    """

    def __init__(
        self,
        data_path: str,
        label_path: str,
        ignore_empty_sample: bool = True,
        pose_matching: bool = False,
        num_person_in: int = 5,
        num_person_out: int = 2,
        **options: Any,
    ):
        self.num_frame, self.num_person_in, self.num_person_out = 300, num_person_in, num_person_out
        self.ignore_empty_sample = ignore_empty_sample
        super().__init__(data_path, label_path, **options)

    def _info(self, data_path: str) -> DatasetInfo:
        return DatasetInfo("openpose", dimension=2, fps=kinetics.FPS, num_person=self.num_person_out)

    def _open(self, data_path: str, label_path: str, mmap: bool) -> None:
        self.data, self.left_out = kinetics.list_folder(data_path, label_path, self.ignore_empty_sample)
        if not self.data:
            raise DataError(f"{data_path}: no clip of {label_path} is here")
        self.sample_name, self.label = [clip.name for clip in self.data], [clip.label for clip in self.data]
        self.clip, self.aspect = np.arange(len(self.data)), np.ones(len(self.data))

    def _read(self, clips: np.ndarray) -> list[np.ndarray]:
        paths = [self.data[i].path for i in self.clip[clips]]
        sequences = [kinetics.read(path, self.num_person_out, self.num_person_in) for path in paths]
        return [sequence.array(self.num_frame, self.num_person_out) for sequence in sequences]
