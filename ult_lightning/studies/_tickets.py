"""The studies of certified tickets: error against kept parameters and width, certificate against sampled error."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ult_lightning.nets import INITS
from ult_lightning.studies._laws import ticket_found
from ult_lightning.studies._study import STUDIES, Axes, Found, Options, Point, Study

if TYPE_CHECKING:
    from ult_lightning.construct import PolynomialPlan, Style
    from ult_lightning.tickets import Ticket

PUBLISHED = "Burkholz et al. 2022, public script"
STYLES = {"two": "two random layers for one", "direct": "one random layer for one"}

_DEGREE = 4
_SAMPLES = 4_098  # points at which a ticket's features are looked at, about


def _kept(options: Options) -> Iterator[Point]:
    for style in options["styles"]:
        for eps in options["eps"]:
            for seed in options["seeds"]:
                science = {"inputs": 1, "degree": _DEGREE, "eps": eps, "style": style, "init": options["init"]}
                yield Point(STYLES[style], seed, science, ("sup_error",), partial(_polynomial, science, seed))
    published = Found({"sup_error": 1.111e-3}, 1074, 1, extra={"kept": 1074, "note": "error as printed, not certified"})
    source = {"source": "the printed errors of the authors' script, seed 42", "kept": 1074}
    yield Point(PUBLISHED, 42, source, ("sup_error",), lambda: published, kind="published")


def _polynomial(science: dict[str, Any], seed: int) -> Found:
    from ult_lightning.construct import polynomial_ticket

    ticket = polynomial_ticket(**science, seed=seed)
    error = ticket.provenance["certificate"]["bound"]
    return ticket_found(ticket, {"sup_error": error}, x=ticket.mask.kept, group=science["eps"], n=_SAMPLES)


STUDIES.add(
    "kept",
    Study(
        name="kept",
        claim="A ticket for u, u^2, u^3, u^4 needs some five times fewer parameters than the published construction at the "
        "same error, and its error is proven; each further digit costs two to three times the parameters.",
        title="Polynomial ticket of degree 4, one input",
        axes=Axes(x="kept parameters", panels={"sup_error": "sup error (certified)"}, log_x=True),
        options={
            "eps": [2e-2, 1e-2, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4],
            "styles": ["two", "direct"],
            "init": "kaiming_normal",
            "seeds": [0, 1, 2, 3, 4],
        },
        fast={"eps": [2e-2, 5e-3], "seeds": [0, 1]},
        choices={"styles": tuple(STYLES), "init": INITS.names()},
        points=_kept,
    ),
)


def _width(options: Options) -> Iterator[Point]:
    pieces = {"log": options["log_pieces"], "exp": options["exp_pieces"]}
    for style in options["styles"]:
        for scale in options["scales"]:
            for seed in options["seeds"]:
                science = {"inputs": 1, "degree": _DEGREE, "scale": scale, "style": style,
                           "init": options["init"], "pieces": pieces}  # fmt: skip
                measure = partial(_scaled, seed=seed, **science)
                yield Point(STYLES[style], seed, science, ("sup_error",), measure)


def _scaled(
    *,
    inputs: int,
    degree: int,
    scale: float,
    style: Style,
    init: str,
    pieces: dict[str, int],
    seed: int,
) -> Found:
    """The certified error of one mother."""
    from ult_lightning.construct import polynomial_ticket

    plan = _plan(scale, style, (pieces["log"], pieces["exp"]))
    ticket = polynomial_ticket(inputs, degree, plan=plan, style=style, init=init, seed=seed)
    error = ticket.provenance["certificate"]["bound"]
    return ticket_found(ticket, {"sup_error": error}, x=scale, n=_SAMPLES)


def _plan(scale: float, style: str, pieces: tuple[int, int]) -> PolynomialPlan:
    """200 units (500 in the exponential) times ``scale`` in every layer but those of the knots, which fit their number."""
    from ult_lightning.construct import FUNCTIONS, PolynomialPlan

    narrow, wide = (max(1, round(scale * width)) for width in (200, 500))
    knots = [() if style == "direct" else (int(np.ceil(1.25 * n)) + 2,) for n in pieces]
    return PolynomialPlan(
        log=(narrow, *knots[0], narrow),
        linear=narrow,
        exp=(wide, *knots[1], wide),
        pieces=pieces,
        tolerance=0.5,
        exponent_tolerance=0.5 * float(FUNCTIONS.get("exp")().best_error(pieces[1])),
    )


STUDIES.add(
    "width",
    Study(
        name="width",
        claim="Tickets exist from a width on: below it random networks hold no ticket, above it nearly every one does, and a "
        "wider one is hardly better.",
        title="Existence of the degree-4 polynomial ticket",
        axes=Axes(
            x="width, in multiples of 200 units (exponential: 500)",
            panels={"sup_error": "sup error (certified)"},
            log_x=True,
        ),
        options={
            "scales": [0.05, 0.07, 0.1, 0.14, 0.2, 0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0],
            "styles": ["two", "direct"],
            "log_pieces": 10,
            "exp_pieces": 20,
            "init": "kaiming_normal",
            "seeds": [0, 1, 2, 3, 4, 5, 6, 7],
        },
        fast={"scales": [0.05, 0.5], "seeds": [0, 1]},
        choices={"styles": tuple(STYLES), "init": INITS.names()},
        points=_width,
    ),
)


def _univariate_cases(eps: float, seed: int) -> Iterator[tuple[dict[str, Any], Callable[[], Ticket]]]:
    from ult_lightning.construct import FUNCTIONS, univariate_ticket

    for name in FUNCTIONS:
        yield {"function": name}, partial(univariate_ticket, name, eps, seed=seed)


def _polynomial_cases(eps: float, seed: int) -> Iterator[tuple[dict[str, Any], Callable[[], Ticket]]]:
    from ult_lightning.construct import polynomial_ticket

    for inputs, degree in ((1, 4), (2, 2), (2, 3), (3, 2)):
        size = {"inputs": inputs, "degree": degree}
        yield size, partial(polynomial_ticket, inputs, degree, eps, seed=seed)


def _fourier_cases(eps: float, seed: int) -> Iterator[tuple[dict[str, Any], Callable[[], Ticket]]]:
    from ult_lightning.construct import fourier_ticket

    for inputs, bound, fold in ((1, 2, False), (2, 1, False), (2, 2, False), (1, 2, True)):
        size = {"inputs": inputs, "bound": bound, "fold": fold}
        yield size, partial(fourier_ticket, inputs, bound, eps, fold=fold, seed=seed)


def _network_cases(eps: float, seed: int) -> Iterator[tuple[dict[str, Any], Callable[[], Ticket]]]:
    for sizes in ([4, 8, 3], [8, 16, 8, 4]):
        yield {"sizes": sizes}, partial(_network_ticket, sizes, eps, seed)


def _network_ticket(sizes: list[int], eps: float, seed: int) -> Ticket:
    from ult_lightning.construct import network_ticket

    return network_ticket(_random_network(sizes, seed), block=20, eps=eps, seed=seed)


def _random_network(sizes: list[int], seed: int) -> Any:
    """Linear layers with ReLUs between them, weights N(0, 2 / inputs)."""
    import torch
    from torch import nn

    rng = np.random.default_rng([seed, *sizes])
    layers: list[nn.Module] = []
    for fan_in, units in itertools.pairwise(sizes):
        with torch.random.fork_rng(devices=[]):  # its own draw is thrown away
            layer = nn.Linear(fan_in, units).requires_grad_(False)
        layer.weight.copy_(torch.from_numpy(rng.normal(0, (2 / fan_in) ** 0.5, (units, fan_in))))
        layer.bias.copy_(torch.from_numpy(rng.normal(0, 0.1, units)))
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


FAMILIES = {
    "univariate": _univariate_cases,
    "polynomial": _polynomial_cases,
    "fourier": _fourier_cases,
    "network": _network_cases,
}


_FAMILY_LABELS = {"fourier": "Fourier", "network": "network (2L)"}


def _certificate(options: Options) -> Iterator[Point]:
    for family in options["families"]:
        for eps in options["eps"]:
            for seed in options["seeds"]:
                for case, make in FAMILIES[family](eps, seed):
                    science = {"family": family, "eps": eps, **case}
                    label = _FAMILY_LABELS.get(family, family)
                    yield Point(label, seed, science, ("bound",), partial(_certified, make, eps))


def _certified(make: Callable[[], Ticket], eps: float) -> Found:
    ticket = make()
    certificate = ticket.provenance["certificate"]
    ratio = certificate["bound"] / max(certificate["sampled"], 1e-300)
    return ticket_found(
        ticket,
        {"bound": certificate["bound"]},
        x=certificate["sampled"],
        n=int(certificate.get("samples", _SAMPLES)),
        group=eps,
        extra={"bound_over_sampled": ratio},
    )


STUDIES.add(
    "certificate",
    Study(
        name="certificate",
        claim="No sampled error is above its certificate, which is tight for functions of one variable, a small factor above "
        "for products and waves of several, and loose for networks.",
        title="Certificate against sampled error",
        axes=Axes(
            x="largest error sampled",
            panels={"bound": "certified bound on the error"},
            log_x=True,
            cloud=True,
            diagonal="bound = sampled",
        ),
        options={
            "families": ["univariate", "polynomial", "fourier", "network"],
            "eps": [3e-2, 1e-2, 3e-3, 1e-3],
            "seeds": [0, 1, 2],
        },
        fast={"families": ["univariate", "network"], "eps": [1e-2], "seeds": [0]},
        choices={"families": tuple(FAMILIES)},
        points=_certificate,
    ),
)
