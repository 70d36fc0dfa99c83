"""Random streams that give the same numbers on every machine.

Each parameter draws from its own stream: NumPy's Philox bit generator, keyed by the seed, the purpose and the
parameter's name. Only the raw 64-bit output is used (NumPy keeps it stable across releases), and it is turned into
uniforms and normals with IEEE-exact operations (+ - * / sqrt), since ``log`` and friends differ in the last bit
between machines.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Wichura (1988), algorithm AS 241, PPND16: rational approximations of the normal quantile, relative error 1e-16.
_CENTRE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
     1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
     5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
)  # fmt: skip
_MIDDLE = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
     3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0),
)  # fmt: skip
_FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0),
)  # fmt: skip


def raw(seed: int, purpose: str, name: str, count: int) -> NDArray[np.uint64]:
    """``count`` raw 64-bit words of the stream keyed by (seed, purpose, name)."""
    key = hashlib.sha256(f"{seed}/{purpose}/{name}".encode()).digest()[:16]
    return np.random.Philox(key=int.from_bytes(key, "little")).random_raw(count)


def uniform(words: NDArray[np.uint64]) -> Floats:
    """Raw words to float64 uniforms in the open interval (0, 1), exactly."""
    cells: Floats = (words >> np.uint64(12)).astype(np.float64)
    return (cells + 0.5) * 2.0**-52


def draw_uniform(seed: int, purpose: str, name: str, count: int) -> Floats:
    """``count`` uniforms in (0, 1) from the stream keyed by (seed, purpose, name), float64."""
    return uniform(raw(seed, purpose, name, count))


def signs(words: NDArray[np.uint64]) -> Floats:
    """Raw words to fair signs, -1.0 or +1.0 (the top bit decides)."""
    return np.where(words >> np.uint64(63), 1.0, -1.0)


def normal(words: NDArray[np.uint64]) -> Floats:
    """Raw words to standard normals, by the quantile function of the uniforms."""
    return normal_quantile(uniform(words))


def normal_quantile(p: Floats) -> Floats:
    """Standard normal quantile of p in (0, 1), using exact operations only. Source: Wichura 1988, AS 241."""
    q = p - 0.5
    centre = np.abs(q) <= 0.425
    out = np.empty_like(p)
    out[centre] = q[centre] * _ratio(0.180625 - q[centre] * q[centre], _CENTRE)
    tail = ~centre
    distance = np.sqrt(-_log(np.minimum(p[tail], 1.0 - p[tail])))
    far = distance > 5.0
    size = np.where(far, _ratio(distance - 5.0, _FAR), _ratio(distance - 1.6, _MIDDLE))
    out[tail] = np.where(q[tail] < 0, -size, size)
    return out


def _ratio(x: Floats, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Floats:
    top, bottom = (_horner(x, c) for c in coefficients)
    return top / bottom


def _horner(x: Floats, coefficients: tuple[float, ...]) -> Floats:
    value = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        value = value * x + c
    return value


def _log(x: Floats) -> Floats:
    """Natural logarithm for x > 0 by exact range reduction and the atanh series: no libm, so the same bits everywhere."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < 0.7071067811865476
    mantissa = np.where(small, 2.0 * mantissa, mantissa)
    exponent = exponent - small
    s = (mantissa - 1.0) / (mantissa + 1.0)
    series = _horner(s * s, tuple(1.0 / n for n in range(25, 0, -2)))
    return 2.0 * s * series + exponent * 0.6931471805599453
