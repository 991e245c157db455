"""Intensities as channels: the same for any modality and range."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmend.core.image import Box, Image, scale_affine, whole
from segmend.sampling.frame import frame_around
from segmend.sampling.intensity import VOLUME_CHANNELS, frame_channels, volume_intensity_channels


class TestVolumeChannels:
    def test_any_range_and_offset_look_alike(self):
        rng = np.random.default_rng(1)
        seen = rng.random((6, 8, 10)).astype(np.float32)
        valid = np.ones(seen.shape, bool)

        np.testing.assert_allclose(
            volume_intensity_channels(seen, valid)[0],
            volume_intensity_channels(seen * 3000 - 1000, valid)[0],
            atol=1e-3,
        )

    def test_an_outlier_does_not_take_the_whole_range(self):
        seen = np.linspace(0, 1, 6 * 8 * 10, dtype=np.float32).reshape(6, 8, 10)
        seen[0, 0, 0] = 1000.0

        assert volume_intensity_channels(seen, np.ones(seen.shape, bool))[0][3].mean() == pytest.approx(0.55, abs=0.1)

    def test_the_levelled_channel_shows_small_contrasts_of_the_middle(self):
        seen = np.full((9, 9, 9), -1000.0, np.float32)
        seen[3:6, 3:6, 3:6] = 0.0
        seen[4, 3:6, 3:6] = 100.0
        seen[8] = 1000.0

        wide, levelled, _, _ = volume_intensity_channels(seen, np.ones(seen.shape, bool))

        assert wide[4, 4, 4] - wide[3, 4, 4] == pytest.approx(0.05)
        assert levelled[4, 4, 4] - levelled[3, 4, 4] == pytest.approx(0.5)

    def test_cells_outside_are_nothing_and_said_to_be(self):
        seen = np.full((4, 4, 4), 5.0, np.float32)
        seen[2] = 9.0
        valid = np.zeros(seen.shape, bool)
        valid[1:3] = True

        found = volume_intensity_channels(seen, valid)

        assert found.shape == (VOLUME_CHANNELS, 4, 4, 4)
        assert not found[:, ~valid].any()
        assert found[3][valid].all()

    def test_a_constant_or_nothing_is_nothing(self):
        seen = np.full((4, 4, 4), 7.0, np.float32) + np.float32(1e-6)

        assert not volume_intensity_channels(seen, np.ones(seen.shape, bool))[:3].any()
        assert not volume_intensity_channels(seen, np.zeros(seen.shape, bool)).any()

    @given(seed=st.integers(0, 99), scale=st.sampled_from([1e-6, 1.0, 1e6]), kind=st.sampled_from(["u1", "i2", "f4"]))
    @settings(max_examples=30, deadline=None)
    def test_always_finite_and_between_0_and_1(self, seed, scale, kind):
        rng = np.random.default_rng(seed)
        limits = (0, 255) if kind == "u1" else (-1000, 1000)
        voxels = rng.integers(*limits, (1, 5, 9, 7)).astype(kind)
        image = Image(voxels * np.float32(scale) if kind == "f4" else voxels, scale_affine((3, 1, 1)))
        frame = frame_around(Box((0, 2, 2), (3, 6, 6)), image.spacing, margin=2.0, cells=(8, 8, 8))

        seen = frame_channels(image, frame)

        assert seen.dtype == np.float32
        assert np.isfinite(seen).all()
        assert seen.min() >= 0
        assert seen.max() <= 1


def test_a_block_is_of_the_channel_asked_for():
    voxels = np.zeros((2, 4, 6, 6), np.float32)
    voxels[1, 2:] = 1.0
    frame = frame_around(whole((4, 6, 6)), (1, 1, 1), margin=1.0, cells=(6, 6, 6))

    assert not frame_channels(Image(voxels), frame)[0].any()
    assert frame_channels(Image(voxels), frame, channel=1)[0, 3:5].all()
