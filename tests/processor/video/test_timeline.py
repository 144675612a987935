"""The timeline below the picture: bars where the segments are, rows for those who do something, a cursor."""

import numpy as np

from processor.video.segments import Segment
from processor.video.timeline import COLOURS, GROUND, INK, NOTHING, ROWS, Timeline


def segment(track, label, begin, end):
    return Segment(track, label, round(30 * begin), round(30 * end), begin, end, 0.9)


def strip(segments, begin=0.0, end=10.0, width=1001, height=36):
    timeline = Timeline(width, height)
    timeline.show(segments, begin, end)
    return timeline.strip


def test_a_segment_is_a_bar_in_the_colour_of_its_label_and_unknown_is_grey():
    shown = strip(
        [segment(0, "run", 0, 4), segment(0, "unknown", 4, 6), segment(0, "jump", 6, 7), segment(0, "run", 7, 9)]
    )
    edge = shown[3]  # above the text
    for at, colour in ((390, COLOURS[0]), (500, NOTHING), (650, COLOURS[1]), (850, COLOURS[0]), (950, GROUND)):
        assert (edge[at] == colour).all(), at


def test_the_label_stands_in_its_bar_where_there_is_room():
    shown = strip([segment(0, "run", 0, 5), segment(0, "a very long label", 5, 5.3)])
    assert (shown[:, :490] == INK).all(-1).any() and not (shown[:, 510:528] == INK).all(-1).any()


def test_only_those_who_are_recognised_for_longest_have_a_row():
    segments = [segment(track, "run", 0, track + 1) for track in range(ROWS)]
    shown = strip([*segments, segment(9, "unknown", 0, 10), segment(8, "run", 0, 0.5)])
    row = 36 // ROWS
    lengths = [int((shown[k * row + row // 2] == COLOURS[0]).all(-1).sum()) for k in range(ROWS)]
    assert lengths == sorted(lengths) and all(abs(length - 100 * (k + 1)) < 4 for k, length in enumerate(lengths))


def test_the_cursor_is_painted_at_the_moment_and_nothing_above_is_touched():
    timeline = Timeline(1001, 20)
    timeline.show([segment(0, "run", 0, 10)], 0.0, 10.0)
    for seconds, column in ((0.0, 0), (2.5, 250), (10.0, 1000), (99.0, 1000), (-1.0, 0)):
        picture = np.full((100, 1001, 3), 7, np.uint8)
        timeline.paint(picture, seconds)
        assert (picture[:80] == 7).all()
        assert (picture[80:, column] == INK).all()


def test_of_a_stream_the_latest_part_is_shown():
    shown = strip([segment(0, "run", 0, 80), segment(0, "jump", 80, 100)], begin=40, end=100)
    assert (shown[3, 600] == COLOURS[0]).all() and (shown[3, 700] == COLOURS[1]).all()


def test_nobody_is_an_empty_strip():
    assert (strip([]) == GROUND).all()
