"""The bar of an import, and what Ctrl-C leaves."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm


@contextmanager
def file_bar(size: int) -> Iterator[tqdm[Any]]:
    """Show how much of a file was read, at a terminal only; on Ctrl-C say what is kept, and let it pass through.

    Args:
        size: bytes.
    """
    terminal = shutil.get_terminal_size()  # 80 x 24 where the terminal says 0 x 0, which tqdm would believe
    look: dict[str, Any] = {"unit_scale": True, "ncols": terminal.columns, "nrows": terminal.lines, "leave": False}
    with tqdm(total=size, unit="B", disable=None, file=sys.stderr, **look) as bar:
        try:
            yield bar
        except KeyboardInterrupt:
            bar.close()
            print(
                "skeldir: stopped; what was added stays. Call it again: it goes on, and adds nothing twice",
                file=sys.stderr,
            )
            raise
