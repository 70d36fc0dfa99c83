"""Inits: scales, orthogonality, and the same bits whatever the number of threads."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from ult_lightning.base import UltError
from ult_lightning.nets import INITS, build_mother, fingerprint, maskable
from ult_lightning.tickets import MotherSpec


def weights(**spec: object) -> dict[str, np.ndarray]:
    body = build_mother(MotherSpec("conv2", **spec)).body  # type: ignore[arg-type]
    return {n: p.numpy() for n, p in maskable(body).items()}


def test_every_init_has_the_scale_of_he():
    scaled = [name for name in INITS.names() if INITS.get(name).fan]
    assert len(scaled) >= 5
    for init in scaled:
        for name, w in weights(init=init).items():
            wanted = math.sqrt(2.0 / np.prod(w.shape[1:]))
            assert np.sqrt(np.mean(w.astype(float) ** 2)) == pytest.approx(wanted, rel=0.05), (init, name)


def test_scale_fan_multiplies_by_one_over_root_density_not_root_one_minus_density():
    plain, scaled = weights(init="kaiming_normal"), weights(init="kaiming_normal", scale_fan=0.2)
    for name in plain:
        np.testing.assert_allclose(scaled[name], plain[name] / math.sqrt(0.2), rtol=1e-6)


def test_signed_constants_have_one_magnitude_and_both_signs():
    w = weights(init="signed_constant")["3.weight"]
    assert len(np.unique(np.abs(w))) == 1
    assert 0.45 < (w > 0).mean() < 0.55


def test_orthogonal_rows_are_orthogonal():
    w = weights(init="orthogonal")["3.weight"].reshape(64, -1).astype(float)
    gram = w @ w.T
    np.testing.assert_allclose(gram / gram[0, 0], np.eye(64), atol=1e-6)


def test_a_tall_orthogonal_matrix_has_orthogonal_columns():
    from ult_lightning.nets import _streams as streams

    w = INITS.get("orthogonal").weight(streams.raw(0, "t", "w", 12 * 5), (12, 5))
    np.testing.assert_allclose(w.T @ w / 12.0, np.eye(5), atol=1e-12)


def test_nonzero_biases_have_the_product_of_the_layer_scales_and_leave_the_weights_alone():
    spec = {"norm": "none", "init": "kaiming_normal"}
    biased, plain = weights(bias="nonzero", **spec), weights(**spec)
    product = 1.0
    for name, w in plain.items():
        np.testing.assert_array_equal(biased[name], w)
        product *= math.sqrt(2.0 / np.prod(w.shape[1:]))
        bias = biased[name.replace("weight", "bias")]
        assert np.sqrt(np.mean(bias.astype(float) ** 2)) == pytest.approx(product, rel=0.4)
        assert np.count_nonzero(bias) == bias.size


def test_uniform_biases_are_uniform_over_the_product_of_the_half_widths():
    product = 1.0
    for name, value in weights(bias="nonzero", norm="none", init="kaiming_uniform", options={"width": 4}).items():
        if name.endswith("weight"):
            width = math.sqrt(6.0 / np.prod(value.shape[1:]))
            product *= width
            assert 0.99 * width < np.abs(value).max() <= width * (1 + 1e-6)
        else:
            assert 0.95 * product < np.abs(value).max() <= product * (1 + 1e-6)


@pytest.mark.parametrize(("init", "width"), [("uniform", 1.0), ("burkholz_uniform", 2.0)])
def test_the_inits_of_the_theory_have_no_fan_in(init, width):
    for name, value in weights(bias="nonzero", norm="none", init=init).items():
        wanted = width if name.endswith("weight") else 1.0
        assert 0.9 * wanted < np.abs(value).max() <= wanted


def test_looks_linear_layers_cancel_each_other():
    """With the mirror of Balduzzi et al. a net without pooling is linear: h - h' of the halves is M x + v, exactly."""
    spec = MotherSpec("lenet_300_100", norm="none", bias="nonzero", init="looks_linear")
    body = build_mother(spec).body.double()
    x, y = torch.randn(2, 5, 3, 32, 32, dtype=torch.float64)

    def halves(x: torch.Tensor) -> torch.Tensor:
        first, second = body(x).chunk(2, 1)
        return first - second

    middle = halves((x + y) / 2)
    torch.testing.assert_close(middle, (halves(x) + halves(y)) / 2)
    assert middle.abs().max() > 1e-3


def test_biases_before_a_norm_are_refused():
    with pytest.raises(UltError, match=r"bias: got 'nonzero'.*norm=none"):
        build_mother(MotherSpec("conv2", bias="nonzero"))


@pytest.mark.parametrize("init", ["kaiming_normal", "orthogonal"])
def test_the_bits_do_not_depend_on_the_number_of_threads(init):
    here = fingerprint(build_mother(MotherSpec("conv4", init=init)).body)
    code = (
        "from ult_lightning.nets import build_mother, fingerprint; from ult_lightning.tickets import MotherSpec;"
        f"print(fingerprint(build_mother(MotherSpec('conv4', init='{init}')).body))"
    )
    threads = str(2 if torch.get_num_threads() == 1 else 1)
    env = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    there = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_global_random_state_neither_matters_nor_changes():
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = fingerprint(build_mother(MotherSpec("resnet18")).body)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    assert fingerprint(build_mother(MotherSpec("resnet18")).body) == first
