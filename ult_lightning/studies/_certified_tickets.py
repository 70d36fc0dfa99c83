"""The studies of certified tickets: error against kept parameters and width, certificate against sampled error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise, product
from typing import Any

import numpy as np
import torch
from torch import nn

from ult_lightning import construct
from ult_lightning.construct import FUNCTIONS, PolynomialPlan
from ult_lightning.nets import INITS
from ult_lightning.results import StudyAxes
from ult_lightning.studies._study_runner import STUDIES, Options, Point, Result, Study, ticket_result
from ult_lightning.tickets import Ticket

PUBLISHED = "Burkholz et al. 2022, public script"
STYLES = {"two": "two random layers for one", "direct": "one random layer for one"}

_DEGREE = 4
_SAMPLES = 4_098  # points at which a ticket's features are looked at, about


def _kept(options: Options) -> Iterator[Point]:
    for style, eps, seed in product(options["styles"], options["eps"], options["seeds"]):
        science = {"inputs": 1, "degree": _DEGREE, "eps": eps, "style": style, "init": options["init"]}
        yield Point(STYLES[style], seed, science, ("sup_error",), partial(_polynomial, science, seed))
    extra = {"kept": 1074, "note": "error as printed, not certified"}
    published = partial(Result, {"sup_error": 1.111e-3}, 1074, 1, extra=extra)
    source = {"source": "the printed errors of the authors' script, seed 42", "kept": 1074}
    yield Point(PUBLISHED, 42, source, ("sup_error",), published, kind="published")


def _polynomial(science: dict[str, Any], seed: int) -> Result:
    ticket = construct.polynomial_ticket(**science, seed=seed)
    values = {"sup_error": ticket.provenance["certificate"]["bound"]}
    return ticket_result(ticket, values, x=ticket.mask.kept, group=science["eps"], n=_SAMPLES)


STUDIES.add(
    "kept",
    Study(
        name="kept",
        claim="A ticket for u, u^2, u^3, u^4 needs some five times fewer parameters than the published construction at the "
        "same error, and its error is proven; each further digit costs two to three times the parameters.",
        title="Polynomial ticket of degree 4, one input",
        axes=StudyAxes(x="kept parameters", panels={"sup_error": "sup error (certified)"}, log_x=True),
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
    for style, scale, seed in product(options["styles"], options["scales"], options["seeds"]):
        chosen = {"inputs": 1, "degree": _DEGREE, "style": style, "init": options["init"]}
        measure = partial(_scaled, chosen, scale, (pieces["log"], pieces["exp"]), seed)
        yield Point(STYLES[style], seed, {**chosen, "scale": scale, "pieces": pieces}, ("sup_error",), measure)


def _scaled(chosen: dict[str, Any], scale: float, pieces: tuple[int, int], seed: int) -> Result:
    """The certified error of one mother: 200 units (500 in the exponential) times ``scale`` in every layer but those of
    the knots, which fit their number.
    """
    narrow, wide = (max(1, round(scale * width)) for width in (200, 500))
    knots = [() if chosen["style"] == "direct" else (int(np.ceil(1.25 * n)) + 2,) for n in pieces]
    plan = PolynomialPlan(
        log=(narrow, *knots[0], narrow),
        linear=narrow,
        exp=(wide, *knots[1], wide),
        pieces=pieces,
        tolerance=0.5,
        exponent_tolerance=0.5 * float(FUNCTIONS.get("exp")().best_error(pieces[1])),
    )
    ticket = construct.polynomial_ticket(**chosen, plan=plan, seed=seed)
    return ticket_result(ticket, {"sup_error": ticket.provenance["certificate"]["bound"]}, x=scale, n=_SAMPLES)


STUDIES.add(
    "width",
    Study(
        name="width",
        claim="Tickets exist from a width on: below it random networks hold no ticket, above it nearly every one does, and a "
        "wider one is hardly better.",
        title="Existence of the degree-4 polynomial ticket",
        axes=StudyAxes(
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


Cases = Iterator[tuple[dict[str, Any], Callable[..., Ticket]]]


def _univariate_cases() -> Cases:
    for name in FUNCTIONS:
        yield {"function": name}, partial(construct.univariate_ticket, name)


def _polynomial_cases() -> Cases:
    for inputs, degree in ((1, 4), (2, 2), (2, 3), (3, 2)):
        yield {"inputs": inputs, "degree": degree}, partial(construct.polynomial_ticket, inputs, degree)


def _fourier_cases() -> Cases:
    for inputs, bound, fold in ((1, 2, False), (2, 1, False), (2, 2, False), (1, 2, True)):
        make = partial(construct.fourier_ticket, inputs, bound, fold=fold)
        yield {"inputs": inputs, "bound": bound, "fold": fold}, make


def _network_cases() -> Cases:
    for sizes in ([4, 8, 3], [8, 16, 8, 4]):
        yield {"sizes": sizes}, partial(_network_ticket, sizes)


def _network_ticket(sizes: list[int], *, eps: float, seed: int) -> Ticket:
    """A ticket for linear layers with ReLUs between them, weights N(0, 2 / inputs)."""
    rng = np.random.default_rng([seed, *sizes])
    layers: list[nn.Module] = []
    for fan_in, units in pairwise(sizes):
        with torch.random.fork_rng(devices=[]):  # its own draw is thrown away
            layer = nn.Linear(fan_in, units).requires_grad_(False)
        layer.weight.copy_(torch.from_numpy(rng.normal(0, (2 / fan_in) ** 0.5, (units, fan_in))))
        layer.bias.copy_(torch.from_numpy(rng.normal(0, 0.1, units)))
        layers += [layer, nn.ReLU()]
    return construct.network_ticket(nn.Sequential(*layers[:-1]), block=20, eps=eps, seed=seed)


FAMILIES: dict[str, tuple[str, Callable[[], Cases]]] = {
    "univariate": ("univariate", _univariate_cases),
    "polynomial": ("polynomial", _polynomial_cases),
    "fourier": ("Fourier", _fourier_cases),
    "network": ("network (2L)", _network_cases),
}
"""Labels of families, and the tickets of each: what decides them, and how they are made for an eps and a seed."""


def _certificate(options: Options) -> Iterator[Point]:
    for family, eps, seed in product(options["families"], options["eps"], options["seeds"]):
        label, cases = FAMILIES[family]
        for case, make in cases():
            measure = partial(_certified, make, eps, seed)
            yield Point(label, seed, {"family": family, "eps": eps, **case}, ("bound",), measure)


def _certified(make: Callable[..., Ticket], eps: float, seed: int) -> Result:
    ticket = make(eps=eps, seed=seed)
    certificate = ticket.provenance["certificate"]
    bound, sampled = certificate["bound"], certificate["sampled"]
    return ticket_result(
        ticket,
        {"bound": bound},
        x=sampled,
        n=int(certificate.get("samples", _SAMPLES)),
        group=eps,
        extra={"bound_over_sampled": bound / max(sampled, 1e-300)},
    )


STUDIES.add(
    "certificate",
    Study(
        name="certificate",
        claim="No sampled error is above its certificate, which is tight for functions of one variable, a small factor above "
        "for products and waves of several, and loose for networks.",
        title="Certificate against sampled error",
        axes=StudyAxes(
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
