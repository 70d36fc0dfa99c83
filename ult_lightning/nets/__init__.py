"""What is a mother? Architectures, inits, masking of any module, frozen networks from tickets."""

from ult_lightning.nets._frozen_network import (
    FrozenNetwork,
    apply_subnetwork,
    build_frozen,
    freeze,
    mother_fingerprint,
    mother_weights,
)
from ult_lightning.nets._inits import INITS
from ult_lightning.nets._mother import (
    OWN,
    Factory,
    Mother,
    adapt,
    as_arrays,
    build_mother,
    constants,
    draw_parameters,
    estimate_statistics,
    evaluating,
    fingerprint,
    hash_arrays,
    maskable,
    parameter_count,
    statistics,
)
from ult_lightning.nets._streams import draw_uniform
from ult_lightning.nets._streams import raw as draw_words
from ult_lightning.nets.bodies import NETS, Chain, Net, fold_chain, parse_layer

__all__ = [
    "INITS",
    "NETS",
    "OWN",
    "Chain",
    "Factory",
    "FrozenNetwork",
    "Mother",
    "Net",
    "adapt",
    "apply_subnetwork",
    "as_arrays",
    "build_frozen",
    "build_mother",
    "constants",
    "draw_parameters",
    "draw_uniform",
    "draw_words",
    "estimate_statistics",
    "evaluating",
    "fingerprint",
    "fold_chain",
    "freeze",
    "hash_arrays",
    "maskable",
    "mother_fingerprint",
    "mother_weights",
    "parameter_count",
    "parse_layer",
    "statistics",
]
