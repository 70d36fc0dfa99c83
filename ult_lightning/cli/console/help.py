"""What `ult --help` and `ult VERB --help` say: the texts in `cli/help`, one per verb."""

from __future__ import annotations

from pathlib import Path

PLAIN_VERBS = ("rows", "ticket")
"""Those that need no Hydra."""

VERBS = ("search", "construct", "transfer", "compare", "report", *PLAIN_VERBS)
_HYDRA = """
Also: -m (sweep), --cfg job (print what would run), --config-dir FOLDER (your own YAML), --hydra-help.
"""


def help_text(name: str) -> str:
    """The text for one verb, with what all Hydra verbs share; `overview` is that of `ult` itself."""
    text = (Path(__file__).parents[1] / "help" / f"{name}.txt").read_text(encoding="utf-8")
    return text if name in ("overview", *PLAIN_VERBS) else text + _HYDRA
