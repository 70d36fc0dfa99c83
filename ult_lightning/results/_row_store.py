"""A folder of rows."""

from __future__ import annotations

from pathlib import Path

from ult_lightning.base import UltError, fault, write_text
from ult_lightning.base._store import FolderStore, check_store
from ult_lightning.results._row import Row

_FORMAT = 2
_MARK = "rows.json"


class RowStore(FolderStore):
    """The rows of the store folder `root`: one file `root/rows/<id>.json` each.

    The folder is made when the first row is added. Raises UltError where another version wrote the store, or its rows.
    """

    kind, suffix = "row", ".json"

    def add(self, row: Row) -> Path:
        """Write a row, whole or not at all, over an older one of the same id; returns its path.

        Raises UltError for a full, read-only or forbidden disk.
        """
        self._check(create=True)
        path = self.path(row.id)
        write_text(path, row.to_json() + "\n")
        return path

    def get(self, id: str) -> Row:
        """The row of that id; raises UltError where it is unknown (with the nearest ids) or its file is broken."""
        return _read(self._known(id))

    def all(self, task: str | None = None, arm: str | None = None) -> list[Row]:
        """All rows, or those of one task or arm, sorted by task, arm, seed, metric and id.

        Raises UltError that names the file where one is broken.
        """
        rows = [_read(self.path(id)) for id in self.ids()]
        wanted = [row for row in rows if task in (None, row.task) and arm in (None, row.arm)]
        return sorted(wanted, key=lambda row: (row.task, row.arm, row.seed, row.metric, row.id))

    def _check(self, *, create: bool = False) -> None:
        """Tickets and rows have a mark each, so that the tickets of a store with old rows stay readable."""
        check_store(self.root, create=create)
        if not (self.root / _MARK).exists() and self.ids():
            mend = "an older ult_lightning wrote them: name another folder with store= and run the command again"
            raise fault("store", str(self.root), f"rows of format {_FORMAT}", mend)
        check_store(self.root, create=create, mark=_MARK, version=_FORMAT)


def _read(path: Path) -> Row:
    mend = "delete this file and repeat the command that made it"
    try:
        row = Row.from_json(path.read_text(encoding="utf-8"))
    except OSError as cause:
        raise UltError(f"{path} cannot be read: {cause.strerror}; check its permissions and the disk.") from cause
    except (UltError, UnicodeDecodeError) as cause:
        reason = str(cause) if isinstance(cause, UltError) else "it is no text"
        raise UltError(f"{path} is no whole row ({reason.rstrip('.')}); {mend}.") from cause
    if row.id != path.name.removesuffix(RowStore.suffix):
        raise UltError(f"{path} holds the row {row.id}, which is not what its name says; {mend}.")
    return row
