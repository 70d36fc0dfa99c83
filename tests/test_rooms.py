"""The table of rooms (who may import whom), read from the code itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = "ult_lightning"
DOOR = "__init__"  # the package's own __init__.py

MAY_IMPORT: dict[str, set[str]] = {
    "base": set(),
    "tickets": {"base"},
    "results": {"base"},
    "data": {"base"},
    "nets": {"base", "tickets"},
    "construct": {"base", "tickets", "nets"},
    "search": {"base", "tickets", "nets"},
    "heads": {"base", "tickets", "nets"},
    "report": {"base", "results"},
    "tracking": {"base", "tickets", "results"},
    DOOR: {"base"},
}
MAY_IMPORT["transfer"] = {"base", "tickets", "results", "data", "nets", "heads"}
_BELOW = {"base", "tickets", "results", "data", "nets", "construct", "search", "heads", "transfer"}
MAY_IMPORT["compare"] = _BELOW
MAY_IMPORT["studies"] = {*_BELOW, "compare"}
MAY_IMPORT["cli"] = {*MAY_IMPORT, DOOR}

FOR_TYPES_ONLY = {"search": {"data"}, "heads": {"data"}, DOOR: set(MAY_IMPORT)}
CLI_ONLY = {"hydra", "omegaconf"}


class Import(NamedTuple):
    """One imported module: its dotted name, where it stands, whether only type checkers see it."""

    module: str
    line: int
    types_only: bool


def test_imports_run_one_way(repo: Path) -> None:
    files, imports, found = read_tree(repo / PACKAGE)
    assert files > 20
    assert imports > 50
    assert found == []


def test_every_room_is_in_the_table(repo: Path) -> None:
    rooms = {path.stem for path in (repo / PACKAGE).iterdir() if path.suffix == ".py" or holds_code(path)}
    assert rooms
    assert rooms <= set(MAY_IMPORT)


def test_violations_are_found(tmp_path: Path) -> None:
    """Each way to import against the table is found, in a tree made for the purpose."""
    wrong = {
        "base/_a.py": "from ult_lightning.tickets import Ticket",
        "tickets/_a.py": "def late():\n    import ult_lightning.nets._masking",
        "data/_a.py": "from ..nets import build",
        "nets/_a.py": "from ult_lightning import results",
        "search/_a.py": "from ult_lightning.data import Task",
        "heads/_a.py": "from ult_lightning import Ticket",
        "report/_a.py": "from importlib import import_module\nimport_module('ult_lightning.tickets')",
        "tracking/_a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ult_lightning.data import T",
        "compare/_a.py": "import numpy\nfrom omegaconf import DictConfig",
        "search/_b.py": "if TYPE_CHECKING:\n    pass\nelse:\n    from ult_lightning.data import Task",
        "results.py": "import ult_lightning.tickets",
    }
    right = {
        "search/_c.py": "import typing\nif typing.TYPE_CHECKING:\n    from ult_lightning.data import Task",
        "cli/_a.py": "import hydra\nfrom ult_lightning.compare import run_grid",
        "compare/_b.py": "from ult_lightning.search import find\nfrom ._a import x\nfrom . import _a",
        "__init__.py": "from ult_lightning.base import UltError",
    }
    for name, text in {**wrong, **right}.items():
        path = tmp_path / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")

    files, _, found = read_tree(tmp_path / PACKAGE)

    assert files == len(wrong) + len(right)
    assert sorted({violation.split(":")[0] for violation in found}) == sorted(wrong)


def read_tree(package: Path) -> tuple[int, int, list[str]]:
    """The number of files and of imports read, and one line per import that the table forbids."""
    files = sorted(package.rglob("*.py"))
    seen = 0
    found = []
    for path in files:
        name = path.relative_to(package)
        room = name.parts[0].removesuffix(".py")
        for imported in imports_of(ast.parse(path.read_text()), (PACKAGE, *name.parts[:-1])):
            seen += 1
            if complaint := forbidden(room, imported):
                found.append(f"{name}:{imported.line}: {complaint}")
    return len(files), seen, found


def forbidden(room: str, imported: Import) -> str | None:
    top, *rest = imported.module.split(".")
    if top in CLI_ONLY and room != "cli":
        return f"only cli may import {top}"
    if top != PACKAGE:
        return None
    target = rest[0] if rest else DOOR
    if rest and target not in MAY_IMPORT:
        target = DOOR  # `from ult_lightning import Ticket` goes through the front door
    allowed = MAY_IMPORT.get(room, set()) | {room}
    if imported.types_only:
        allowed |= FOR_TYPES_ONLY.get(room, set())
    return None if target in allowed else f"{room} may not import {target}"


def imports_of(tree: ast.AST, package: tuple[str, ...], types_only: bool = False) -> Iterator[Import]:
    """Every import statement below `tree`, wherever it stands, and `import_module` with a literal name."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and names_type_checking(node.test):
            for part in node.body:
                yield from imports_of(ast.Module([part], []), package, True)
            for part in node.orelse:
                yield from imports_of(ast.Module([part], []), package, types_only)
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, types_only)
        elif isinstance(node, ast.ImportFrom):
            base = resolved(node, package)
            for alias in node.names:
                whole = f"{base}.{alias.name}" if base == PACKAGE else base
                yield Import(whole, node.lineno, types_only)
        elif isinstance(node, ast.Call) and (literal := literal_import(node)):
            yield Import(literal, node.lineno, types_only)
        yield from imports_of(node, package, types_only)


def resolved(node: ast.ImportFrom, package: tuple[str, ...]) -> str:
    if node.level == 0:
        return node.module or ""
    base = package[: len(package) - node.level + 1]
    return ".".join((*base, node.module) if node.module else base)


def literal_import(node: ast.Call) -> str | None:
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name not in {"import_module", "__import__"} or not node.args:
        return None
    argument = node.args[0]
    return argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else None


def names_type_checking(test: ast.expr) -> bool:
    return getattr(test, "id", None) == "TYPE_CHECKING" or getattr(test, "attr", None) == "TYPE_CHECKING"


def holds_code(path: Path) -> bool:
    return path.is_dir() and any(path.rglob("*.py"))
