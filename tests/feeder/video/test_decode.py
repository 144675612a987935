"""Video in and out, on small files made here with PyAV, and on the real ones where they lie."""

import resource
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from feeder.video.decode import Frame, Video, list_videos
from feeder.video.encode import VideoWriter
from torchlight.errors import DataError

RATE = 48000


def card(width=64, height=48) -> np.ndarray:
    """A test card (H, W, 3): red, green / blue, white."""
    image = np.zeros((height, width, 3), np.uint8)
    half_y, half_x = height // 2, width // 2
    image[:half_y, :half_x], image[:half_y, half_x:] = (220, 20, 20), (20, 200, 20)
    image[half_y:, :half_x], image[half_y:, half_x:] = (20, 20, 220), (230, 230, 230)
    return image


def noise(index: int, height=48, width=64) -> np.ndarray:
    """A picture that no codec predicts from the one before."""
    coarse = np.random.default_rng(index).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)


def make(path, images, times=None, rate=10, codec="libx264", pix_fmt="yuv420p", container=None, turn=None, **options):
    """Write images as a video; times in seconds, or evenly at `rate`."""
    images = list(images)
    with av.open(str(Path(path).absolute()), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000) if times else Fraction(1, rate)
        if turn:
            stream.set_display_rotation(turn)
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = round(times[i] * 1000) if times else i
            frame.time_base = stream.codec_context.time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return Path(path)


def make_with_sound(path, seconds, audio="aac", rate=10, video="libx264", layout="stereo", sound_rate=RATE):
    """A grey video with a tone of 440 Hz that is silent in its first half second."""
    options = {"strict": "experimental"}
    with av.open(str(path), "w") as out:
        stream = out.add_stream(video, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = out.add_stream(audio, rate=sound_rate, layout=layout, options=options)
        resampler = av.AudioResampler(sound.format, sound.layout, sound_rate)
        for i in range(int(seconds * rate)):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 128, np.uint8), format="rgb24")))
            start, count = i * sound_rate // rate, sound_rate // rate
            t = np.arange(start, start + count) / sound_rate
            wave = (np.sin(2 * np.pi * 440 * t) * (t > 0.5) * 12000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = sound_rate, start, Fraction(1, sound_rate)
            for even in resampler.resample(frame):
                out.mux(sound.encode(even))
        out.mux(stream.encode())
        out.mux(sound.encode())
    return path


def copy(source, target, **kwargs) -> Path:
    video = Video(source)
    with VideoWriter(target, video.width, video.height, video.fps, sound_from=source, **kwargs) as out:
        for frame in video:
            out.write(frame.image, frame.seconds)
    return target


def sound_of(path) -> tuple[str, float, float]:
    """(codec, when the tone begins, when it ends) in seconds."""
    with av.open(str(path)) as container:
        loud = []
        for packet in container.demux(audio=0):
            with suppress(av.error.InvalidDataError):  # the damage that was copied
                loud += [f.time for f in packet.decode() if np.abs(f.to_ndarray()).max() > 0.1]
        return container.streams.audio[0].codec_context.name, loud[0], loud[-1]


def boxes(path) -> list[bytes]:
    """The top-level boxes of an .mp4, in order."""
    data, at, names = Path(path).read_bytes(), 0, []
    while at < len(data):
        names.append(data[at + 4 : at + 8])
        at += int.from_bytes(data[at : at + 4], "big")
    return names


# reading


def test_frames_come_in_order_as_rgb_and_as_often_as_wanted(tmp_path):
    video = Video(make(tmp_path / "clip.mp4", [card()] * 12))
    assert (video.width, video.height, video.fps, video.num_frame, video.has_audio) == (64, 48, 10.0, 12, False)
    for _ in range(2):
        frames = list(video)
        assert [f.index for f in frames] == list(range(12))
        np.testing.assert_allclose([f.seconds for f in frames], np.arange(12) / 10, atol=1e-6)
        assert isinstance(frames[0], Frame) and frames[0].image.dtype == np.uint8 and video.broken == 0
        for y, x in ((10, 10), (10, 50), (40, 10), (40, 50)):
            assert np.abs(frames[5].image[y, x].astype(int) - card()[y, x]).max() < 12


@pytest.mark.parametrize("turn, quarter_turns", [(0, 0), (90, 1), (180, 2), (270, 3), (-90, 3)])
def test_rotation_by_metadata_is_carried_out(tmp_path, turn, quarter_turns):
    video = Video(make(tmp_path / "phone.mp4", [card()] * 3, turn=turn))
    upright = np.rot90(card(), quarter_turns)  # both count counter-clockwise
    image = next(iter(video)).image
    assert image.shape == upright.shape == (video.height, video.width, 3) and image.flags.c_contiguous
    assert np.abs(image.astype(int) - upright)[5:15, 5:15].max() < 12
    assert np.abs(image.astype(int) - upright)[-15:-5, 5:15].max() < 12


def test_mirror_by_metadata_is_carried_out(tmp_path):
    path = tmp_path / "selfie.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_matrix([-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30])
        out.mux(stream.encode(av.VideoFrame.from_ndarray(card(), format="rgb24")))
        out.mux(stream.encode())
    image = next(iter(Video(path))).image
    assert np.abs(image.astype(int) - card()[:, ::-1])[5:15, 5:15].max() < 12


def test_portrait_and_odd_sides(tmp_path):
    video = Video(make(tmp_path / "odd.mkv", [card(33, 57)] * 3, codec="ffv1", pix_fmt="yuv444p"))
    assert (video.width, video.height) == (33, 57)
    assert next(iter(video)).image.shape == (57, 33, 3)


def test_variable_frame_rate_keeps_its_times(tmp_path):
    times = [0.0, 0.04, 0.5, 0.51, 2.0, 3.333]
    video = Video(make(tmp_path / "vfr.mkv", [noise(i) for i in range(6)], times))
    np.testing.assert_allclose([f.seconds for f in video], times, atol=2e-3)


def test_one_frame(tmp_path):
    video = Video(make(tmp_path / "one.mp4", [card()]))
    assert [f.index for f in video] == [0] and 0 < video.fps <= 1000


def test_missing_times_are_made_from_the_frame_rate(tmp_path):
    video = Video(make(tmp_path / "raw.h264", [noise(i) for i in range(5)], container="h264"))
    np.testing.assert_allclose([f.seconds for f in video], np.arange(5) / video.fps, atol=1e-6)
    assert video.num_frame is None


def test_times_rise_where_the_file_has_them_out_of_order(tmp_path):
    seconds = [f.seconds for f in Video(make(tmp_path / "b.avi", [noise(i) for i in range(40)], codec="mpeg4", bf="2"))]
    assert len(seconds) == 40 and np.all(np.diff(seconds) > 0) and seconds[-1] < 4.2


@pytest.mark.parametrize(
    "pix_fmt, codec",
    [("yuv420p10le", "libx265"), ("gray", "ffv1"), ("gray10le", "ffv1"), ("yuvj420p", "mjpeg"), ("yuv422p", "ffv1"),
     ("bgra", "ffv1"), ("yuva420p", "ffv1"), ("rgb24", "libx264rgb")],
)  # fmt: skip
def test_any_pixel_format_reads_as_rgb(tmp_path, pix_fmt, codec):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    video = Video(make(tmp_path / "p.mkv", [card()] * 2, codec=codec, pix_fmt=pix_fmt, **options))
    image = next(iter(video)).image
    expected = card() if "gray" not in pix_fmt else card() @ [[0.299] * 3, [0.587] * 3, [0.114] * 3]
    assert image.dtype == np.uint8
    assert np.abs(image[5:15, 5:15].astype(float) - expected[5:15, 5:15]).max() < 25


def test_damage_in_the_middle_is_counted_and_the_rest_read(tmp_path, capfd):
    path = make(tmp_path / "clip.mp4", [noise(i) for i in range(100)], g="10")
    data = bytearray(path.read_bytes())
    at = len(data) // 2
    data[at : at + len(data) // 20] = np.random.default_rng(0).bytes(len(data) // 20)
    path.write_bytes(data)
    video = Video(path)
    frames = list(video)
    assert 80 < len(frames) < 100 and video.broken > 0
    assert frames[-1].seconds == pytest.approx(9.9)  # those behind the damage keep their times
    assert np.abs(frames[-1].image[4::8, 4::8].astype(int) - noise(99)[4::8, 4::8]).mean() < 25
    assert [f.index for f in frames] == list(range(len(frames)))
    assert capfd.readouterr() == ("", "")  # FFmpeg keeps its remarks to itself


@pytest.mark.parametrize("name, options", [("cut.mkv", {}), ("cut.ts", {}), ("cut.avi", {"codec": "mpeg4"})])
def test_a_file_cut_off_is_read_to_where_it_ends(tmp_path, name, options):
    path = make(tmp_path / name, [noise(i) for i in range(60)], g="10", **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 10 < len(list(Video(path))) < 45


def test_a_cut_off_mp4_with_its_index_in_front_is_read_to_where_it_ends(tmp_path):
    path = make(tmp_path / "whole.mp4", [noise(i) for i in range(60)])
    copy(path, tmp_path / "cut.mp4")
    whole = (tmp_path / "cut.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    assert 15 < len(list(Video(tmp_path / "cut.mp4"))) < 55


def test_what_is_no_video_gets_one_line(tmp_path, capfd):
    (tmp_path / "random.mp4").write_bytes(np.random.default_rng(0).bytes(20000))
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("hello\n" * 500)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n" * 500)
    cut = make(tmp_path / "cut.mp4", [noise(i) for i in range(30)])
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])  # its index was at the end
    for name in ("random.mp4", "empty.mp4", "notes.txt", "table.csv", "cut.mp4", "nowhere.mp4", "."):
        with pytest.raises(DataError) as error:
            Video(tmp_path / name)
        assert "\n" not in str(error.value) and str(tmp_path / name) in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("cover", [False, True])
def test_sound_alone_is_no_video(tmp_path, cover):
    with av.open(str(tmp_path / "song.mp3"), "w") as out:
        stream = out.add_stream("mp3", rate=44100)
        if cover:
            picture = out.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            out.mux(picture.encode(av.VideoFrame.from_ndarray(card(), format="rgb24")))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.int16), format="s16", layout="mono")
        frame.sample_rate = 44100
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    with pytest.raises(DataError, match="only sound"):
        Video(tmp_path / "song.mp3")


NAMES = ["two words.mp4", 'it\'s "so".mp4', "-clip.mp4", "100%d %s.mp4", "http:clip.mp4", "a:b.mp4", "视频.mp4"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_a_file(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    make(tmp_path / "in" / name, [card()] * 3)
    monkeypatch.chdir("in")
    assert list_videos(name) == [Path(name)] and list_videos(".") == [Path(name)]
    copy(name, Path("..") / name)
    monkeypatch.chdir("..")
    assert len(list(Video(name))) == 3


def test_a_folder_lists_its_videos_by_name(tmp_path):
    for name in ("b.mp4", "a.MOV", "c.webm", "notes.txt", "._a.mp4", "c.part.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "d.mp4").mkdir()
    assert [p.name for p in list_videos(tmp_path)] == ["a.MOV", "b.mp4", "c.webm"]
    with pytest.raises(DataError, match="no video"):
        list_videos(tmp_path / "d.mp4")
    with pytest.raises(DataError, match="does not exist"):
        list_videos(tmp_path / "nowhere")


# writing


def test_written_file_is_what_browsers_play(tmp_path):
    with VideoWriter(tmp_path / "new" / "out.mp4", 33, 57, 30) as out:  # odd sides; the folder is made
        for i in range(5):
            out.write(card(33, 57), i / 30)
    path = tmp_path / "new" / "out.mp4"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.format.name, stream.width, stream.height) == (
            "h264",
            "yuv420p",
            34,
            58,
        )
        assert stream.average_rate == 30
    names = boxes(path)
    assert names.index(b"moov") < names.index(b"mdat")  # faststart
    assert [p.name for p in path.parent.iterdir()] == ["out.mp4"]
    assert np.abs(next(iter(Video(path))).image[:57, :33].astype(int) - card(33, 57))[5:15, 5:15].max() < 12


def test_times_are_kept_and_made_to_rise(tmp_path):
    times = [0, 0.04, 0.04, 0.03, 1.5, 3.0]
    with VideoWriter(tmp_path / "out.mp4", 64, 48, 25) as out:
        for i, seconds in enumerate(times):
            out.write(noise(i), seconds)
    read = [f.seconds for f in Video(tmp_path / "out.mp4")]
    np.testing.assert_allclose(read, times, atol=0.0101)
    assert np.all(np.diff(read) > 0)


def test_one_frame_lasts_a_frame(tmp_path):
    with VideoWriter(tmp_path / "out.mp4", 64, 48, 25) as out:
        out.write(card(), 0)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.duration == pytest.approx(40000, abs=1000)
    assert len(list(Video(tmp_path / "out.mp4"))) == 1


def test_ctrl_c_keeps_what_was_written_as_partial(tmp_path):
    source = make_with_sound(tmp_path / "in.mp4", 4)
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "out.mp4", 64, 48, 10, sound_from=source) as out:
        for i in range(20):
            out.write(card(), i / 10)
        raise KeyboardInterrupt
    assert len(list(Video(tmp_path / "out_partial.mp4"))) == 20
    assert sound_of(tmp_path / "out_partial.mp4")[2] == pytest.approx(2, abs=0.1)  # no longer than the picture
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out_partial.mp4"]


def test_an_error_leaves_nothing_and_an_older_file_as_it_was(tmp_path):
    (tmp_path / "out.mp4").write_bytes(b"older")
    with pytest.raises(ZeroDivisionError), VideoWriter(tmp_path / "out.mp4", 64, 48, 10) as out:
        out.write(card(), 0)
        raise ZeroDivisionError
    with pytest.raises(ValueError, match="image is"), VideoWriter(tmp_path / "out.mp4", 64, 48, 10) as out:
        out.write(card(32, 32), 0)
    with VideoWriter(tmp_path / "out.mp4", 64, 48, 10):
        pass  # no frame, no file
    with pytest.raises(FileNotFoundError):
        VideoWriter(tmp_path / "out.mp4", 64, 48, 10, sound_from=tmp_path / "nowhere.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == b"older"


@pytest.mark.parametrize(
    "name, audio, written",
    [("s.mp4", "aac", "aac"), ("s.ts", "aac", "aac"), ("s.mkv", "aac", "aac"), ("s.mp4", "mp3", "mp3float"),
     ("s.mkv", "pcm_s16le", "aac"), ("s.mkv", "libopus", "aac"), ("s.mkv", "vorbis", "aac"), ("s.mkv", "flac", "aac"),
     ("s.mkv", "ac3", "aac")],
)  # fmt: skip
def test_sound_is_kept_and_in_time(tmp_path, name, audio, written):
    source = make_with_sound(tmp_path / name, 3, audio)
    assert Video(source).has_audio
    copy(source, tmp_path / "out.mp4")
    codec, begin, end = sound_of(tmp_path / "out.mp4")
    assert codec == written
    assert begin == pytest.approx(0.5, abs=0.06) and end == pytest.approx(3, abs=0.1)
    assert len(list(Video(tmp_path / "out.mp4"))) == 30


def test_sound_in_a_rate_of_its_own(tmp_path):
    source = make_with_sound(tmp_path / "s.mkv", 2, "pcm_s16le", layout="mono", sound_rate=96000)
    copy(source, tmp_path / "out.mp4")
    assert sound_of(tmp_path / "out.mp4")[1] == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("audio", ["aac", "pcm_s16le"])
def test_damaged_sound_does_not_stop_the_picture(tmp_path, audio):
    source = make_with_sound(tmp_path / "s.ts" if audio == "aac" else tmp_path / "s.mkv", 6, audio)
    data = bytearray(source.read_bytes())
    at = len(data) // 2
    data[at : at + len(data) // 20] = np.random.default_rng(0).bytes(len(data) // 20)
    source.write_bytes(data)
    copy(source, tmp_path / "out.mp4")
    assert len(list(Video(tmp_path / "out.mp4"))) > 20
    assert sound_of(tmp_path / "out.mp4")[2] > (5.5 if audio == "aac" else 2)  # a damaged .mkv ends there


def test_sound_and_picture_are_interleaved_and_memory_is_flat(tmp_path):
    source = make_with_sound(tmp_path / "long.mkv", 240, "pcm_s16le", rate=2)  # 46 MB of sound
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    copy(source, tmp_path / "out.mp4")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KiB
    with av.open(str(tmp_path / "out.mp4")) as container:
        ends, apart = {}, 0.0
        for packet in container.demux():  # in the order of the file
            if packet.dts is not None:
                ends[packet.stream.type] = float(packet.dts * packet.time_base)
                apart = max(apart, abs(ends.get("audio", 0) - ends.get("video", 0)))
        assert apart < 2.5
        assert ends["audio"] == pytest.approx(240, abs=1)


# real recordings


@pytest.mark.parametrize("name", ["ta_chi", "skateboarding"])
def test_real_clips_without_sound(real_data, name):
    path = real_data.parent / "media" / f"{name}.mp4"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    video = Video(path)
    frames = [f.seconds for f in video]
    assert (video.width, video.height, video.num_frame, video.has_audio, video.broken) == (340, 256, 300, False, 0)
    np.testing.assert_allclose(frames, np.arange(300) * 1001 / 30000, atol=1e-6)


def test_real_clip_with_sound(real_data, tmp_path):
    path = real_data / "openpose_body25" / "Kick_1.mp4"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    video = Video(path)
    assert (video.width, video.height, video.num_frame, video.has_audio) == (1920, 1080, 90, True)
    with VideoWriter(tmp_path / "out.mp4", 160, 90, video.fps, sound_from=path) as out:
        for frame in video:
            out.write(frame.image[::12, ::12], frame.seconds)

    def sound(file):  # the very packets
        with av.open(str(file)) as container:
            return [(round(float(p.pts * p.time_base), 3), bytes(p)) for p in container.demux(audio=0) if p.size]

    copied, source = sound(tmp_path / "out.mp4"), sound(path)
    assert copied == source[: len(copied)] and len(source) - len(copied) <= 1
