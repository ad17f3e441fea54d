"""Write settings to `.env`, which every command reads below the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from skeldir_huey.errors import ConfigError


def record(path: Path, values: Mapping[str, str]) -> None:
    """Set these variables in the file and leave every other line as it is; only its owner can read it afterwards.

    Raises:
        ConfigError: the file cannot be written; nothing was changed.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if not any(re.match(rf"\s*(export\s+)?{name}\s*=", line) for name in values)]
    if not lines:
        kept = ["# Written by `make run`. It holds passwords: keep it to yourself."]
    # Single quotes: python-dotenv, honcho and the shell then all read the text as it stands.
    text = "\n".join([*kept, *(f"{name}='{value}'" for name, value in values.items())]) + "\n"
    half = path.with_name(path.name + ".new")
    try:
        half.unlink(missing_ok=True)
        handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
