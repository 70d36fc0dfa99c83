"""The `ult` command: one verb per thing to do. Holds no science; the only room that imports hydra.

Nothing heavy is imported here: `ult --help` must answer at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run `ult` with these arguments (default: the process's own) and return its exit code.

    0: done. 1: a bug of ours, or a failed job of a sweep. 2: something the user can mend, in one sentence on stderr.
    130: stopped by Ctrl-C, 143: by SIGTERM. 141: the reader of stdout went away. Never raises for what a user can
    cause, unless `traceback=true` or ULT_TRACEBACK=1 asks for it.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    from ult_lightning.cli.console.exit import guarded
    from ult_lightning.cli.console.process import lenient_streams

    lenient_streams()
    return guarded(lambda: _dispatch(arguments), arguments)


def _dispatch(arguments: list[str]) -> int:
    from ult_lightning.base import unknown
    from ult_lightning.cli.console.help import PLAIN_VERBS, VERBS, help_text

    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print(help_text("overview"))
        return 0
    if arguments[0] in ("--version", "version"):
        from ult_lightning import __version__

        print(f"ult_lightning {__version__}")
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb not in VERBS:
        raise unknown("command", verb, VERBS)
    if "--help" in rest or "-h" in rest:
        print(help_text(verb))
        return 0
    if verb in PLAIN_VERBS:
        code: int = getattr(import_module(f"ult_lightning.cli.verbs.{verb}"), verb)(rest)
        return code
    from ult_lightning.cli.config.launch import run_verb

    return run_verb(verb, rest)
