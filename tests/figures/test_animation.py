"""Frames contain the exact pixels of the images, there and back."""

import numpy as np
import pytest
import torch

from vaelab import figures

VALUES = [-2.0, -1.0, 1.0, 2.0]


def animation(images, names=None):
    names = names or [f"z{i}" for i in range(len(images))]
    return figures.animate_traversals(images, names, VALUES, "what is shown")


def contains(frame, image):
    """Whether a uint8 (h, w, 3) block stands anywhere in the frame."""
    windows = np.lib.stride_tricks.sliding_window_view(frame, image.shape)
    corner = windows[..., 0, 0, 0] == image[0, 0, 0]
    return any((window == image).all() for window in windows[corner])


def test_frames_go_there_and_back():
    frames = animation(torch.rand(2, 4, 1, 8, 8)).frames
    assert (frames.dtype, len(frames)) == (np.uint8, 6)
    np.testing.assert_array_equal(frames[4:], frames[[2, 1]])
    assert len({frame.tobytes() for frame in frames[:4]}) == 4


@pytest.mark.parametrize("channels", [1, 3])
def test_every_frame_holds_its_images_a_whole_number_of_times_larger(channels):
    images = torch.rand(3, 4, channels, 60, 60)
    frames = animation(images).frames
    for time in range(4):
        for row in range(3):
            image = (images[row, time].expand(3, 60, 60).permute(1, 2, 0) * 255).round().byte()
            assert contains(frames[time], image.numpy().repeat(2, axis=0).repeat(2, axis=1))


def test_rows_are_named_and_the_slider_moves():
    still = torch.zeros(1, 4, 1, 8, 8)
    frames, renamed = animation(still).frames, animation(still, ["another"]).frames
    assert (frames[0] != renamed[0]).any()
    changed = np.nonzero((frames[0] != frames[3]).any(axis=(0, 2)))[0]
    assert changed.max() - changed.min() > frames.shape[2] / 2


def test_many_latents_stand_in_rows():
    one, many = (animation(torch.rand(n, 4, 1, 60, 60)).frames.shape for n in (5, 11))
    assert one[2] == many[2]
    assert many[1] > one[1] + 2 * 120
