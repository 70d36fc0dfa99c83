"""`python -m ult_lightning.cli` is `ult`."""

from __future__ import annotations

import sys

from ult_lightning.cli import main

if __name__ == "__main__":
    sys.exit(main())
