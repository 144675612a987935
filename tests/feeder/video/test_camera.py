"""The camera's thread, with a camera made up here and with a video file in its place."""

import threading
import time

import numpy as np
import pytest

from feeder.video import camera as module
from feeder.video.camera import Camera
from feeder.video.encode import VideoWriter
from feeder.video.opencv import cv2
from torchlight.errors import DataError


class Fake:
    """Takes a picture every 5 ms whose red channel is its number; after `length` pictures it is unplugged."""

    def __init__(self, length=10**6, error=False, opened=True):
        self.length, self.error, self.opened = length, error, opened
        self.count, self.released = 0, False

    def isOpened(self):
        return self.opened

    def get(self, _):
        return 0.0

    def read(self):
        assert not self.released
        if self.count == self.length:
            if self.error:
                raise cv2.error("unplugged")
            return False, None
        time.sleep(0.005 * (self.count > 0))
        image = np.zeros((6, 8, 3), np.uint8)
        image[..., 2] = self.count  # BGR
        self.count += 1
        return True, image

    def release(self):
        self.released = True


@pytest.fixture
def plug(monkeypatch):
    """plug(fake) makes it the camera that OpenCV opens."""

    def plug(fake):
        monkeypatch.setattr(module.cv2, "VideoCapture", lambda *_: fake)
        return fake

    return plug


def test_a_slow_reader_gets_the_newest_picture_as_rgb(plug):
    fake = plug(Fake(length=200))
    with Camera("0") as camera:
        assert (camera.width, camera.height, camera.fps) == (8, 6, 30.0)
        indices, seconds = [], []
        for _ in range(5):
            time.sleep(0.05)
            taken = fake.count
            frame = camera.read()
            assert frame.index >= taken - 2  # at most the one just being taken is newer
            assert (frame.image == [frame.index, 0, 0]).all()
            indices.append(frame.index)
            seconds.append(frame.seconds)
    assert indices == sorted(set(indices)) and seconds == sorted(set(seconds))
    assert np.diff(indices).min() > 1  # those in between are passed over


def test_a_fast_reader_gets_every_picture_once(plug):
    plug(Fake(length=20))
    with Camera(0) as camera:
        time.sleep(0.003)
        indices = [frame.index for frame in iter(camera.read, None)]
    assert len(indices) == len(set(indices)) and indices == sorted(indices) and indices[-1] == 19


@pytest.mark.parametrize("error", [False, True])
def test_a_camera_that_goes_away_gives_its_last_picture_then_none(plug, error):
    fake = plug(Fake(length=5, error=error))
    with Camera(0) as camera:
        camera.thread.join(5)
        assert camera.read().index == 4
        assert camera.read() is None and camera.read() is None
    assert fake.released


def test_a_silent_camera_gives_none_after_the_timeout(plug):
    fake, silence = plug(Fake()), threading.Event()
    with Camera(0) as camera:
        fake.read = lambda: (silence.wait(5), (False, None))[1]
        time.sleep(0.02)
        while camera.read(0.1) is not None:
            pass
        assert camera.thread.is_alive()
        silence.set()


def test_close_ends_the_thread_and_lets_go_of_the_camera(plug):
    fake = plug(Fake())
    camera = Camera(0)
    camera.read()
    camera.close()
    camera.close()
    assert not camera.thread.is_alive() and fake.released

    fake = plug(Fake())
    with pytest.raises(KeyboardInterrupt), Camera(0):
        raise KeyboardInterrupt
    assert fake.released


@pytest.mark.parametrize("fake", [Fake(opened=False), Fake(length=0)])
def test_no_picture_is_one_line(plug, fake):
    plug(fake)
    with pytest.raises(DataError, match="camera 3 cannot be opened"):
        Camera("3")
    assert fake.released


def test_a_camera_that_is_not_there_is_one_line(capfd):
    with pytest.raises(DataError, match="camera 97"):
        Camera(97)
    with pytest.raises(DataError, match="rtsp://127"):
        Camera("rtsp://127.0.0.1:9/none")
    assert capfd.readouterr() == ("", "")


def test_a_file_in_the_place_of_a_stream(tmp_path):
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 64, 48, 25) as out:
        for i in range(30):
            out.write(np.full((48, 64, 3), (200, 8 * i, 0), np.uint8), i / 25)
    with Camera(path) as camera:
        assert (camera.width, camera.height, camera.fps) == (64, 48, 25.0)
        frames = list(iter(camera.read, None))
    assert frames[-1].index == 29
    assert np.abs(frames[-1].image[24, 32].astype(int) - (200, 232, 0)).max() < 12
