"""The random streams: exact, stable, and right against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import ndtri

from ult_lightning.nets import _streams as streams


def test_the_raw_stream_is_the_one_that_every_machine_draws():
    words = streams.raw(0, "mother", "0.weight", 3)
    assert words.tolist() == [int(w) for w in streams.raw(0, "mother", "0.weight", 5)[:3]]
    found = streams.normal(words).astype(np.float32)
    assert [f.tobytes().hex() for f in found] == FIRST_NORMALS


FIRST_NORMALS = ["5321603e", "9d03b4bf", "2ef4893e"]


@pytest.mark.parametrize("change", [(1, "mother", "a"), (0, "scores", "a"), (0, "mother", "b")])
def test_seed_purpose_and_name_each_change_the_stream(change):
    assert not np.array_equal(streams.raw(0, "mother", "a", 8), streams.raw(*change, 8))


@given(st.floats(min_value=1e-300, max_value=1.0 - 1e-16, exclude_max=False))
def test_the_normal_quantile_agrees_with_scipy(p):
    ours = streams.normal_quantile(np.array([p]))[0]
    assert ours == pytest.approx(ndtri(p), rel=2e-14, abs=1e-15)


def test_uniforms_are_open_and_normals_are_normal():
    words = streams.raw(3, "test", "x", 200_000)
    uniforms = streams.uniform(words)
    assert uniforms.min() > 0.0
    assert uniforms.max() < 1.0
    assert streams.uniform(np.array([0, 2**64 - 1], dtype=np.uint64)).tolist() == [2.0**-53, 1.0 - 2.0**-53]
    assert stats.kstest(streams.normal(words), "norm").pvalue > 1e-3
    assert abs(streams.signs(words).mean()) < 0.01
