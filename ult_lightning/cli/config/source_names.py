"""Names that the sources of packages define, read without importing them: an import takes seconds, a typo must not."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path


def torchvision_models() -> list[str]:
    """The names that torchvision registers."""
    pattern = r"^@register_model\((?:name=)?(?:\"(\w+)\")?\)\n(?:.*\n)*?def (\w+)"
    texts = "".join(_sources("torchvision", "models"))
    return [given or name for given, name in re.findall(pattern, texts, re.MULTILINE)]


def task_names(*, functions: bool) -> list[str]:
    """The tasks that have a name, of images and with `functions` of functions: also those of plugins, once these are there."""
    if "ult_lightning.data" in sys.modules:
        from ult_lightning.data import FUNCTIONS, TASKS

        return [*TASKS, *(FUNCTIONS if functions else ())]
    rooms = ("sources", "functions") if functions else ("sources",)
    calls = (node for room in rooms for node in _nodes("ult_lightning", f"data/{room}") if isinstance(node, ast.Call))
    return [
        str(call.args[0].value)
        for call in calls
        if call.args
        and isinstance(call.args[0], ast.Constant)
        and re.fullmatch(r"(TASKS|FUNCTIONS)\.add|_add", ast.unparse(call.func))
    ]


def declared_fields(room: str) -> set[str]:
    """The annotated names in the classes of one of our rooms: every option of its members, and more."""
    classes = (node for node in _nodes("ult_lightning", room) if isinstance(node, ast.ClassDef))
    fields = (node.target for kind in classes for node in kind.body if isinstance(node, ast.AnnAssign))
    return {field.id for field in fields if isinstance(field, ast.Name)}


def _nodes(package: str, folder: str) -> Iterator[ast.AST]:
    for text in _sources(package, folder):
        yield from ast.walk(ast.parse(text))


def _sources(package: str, folder: str) -> Iterator[str]:
    spec = find_spec(package)
    if spec is not None and spec.origin is not None:
        for file in sorted((Path(spec.origin).parent / folder).rglob("*.py")):
            yield file.read_text(encoding="utf-8")
