"""Where the project's own files are: config/, resource/ and fetched models, in a checkout and in an installed package."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # the folder of torchlight/ and its neighbours
REQUIREMENTS = ROOT / "requirements.txt"


def models_folder() -> Path:
    """Where fetched models are kept: $ST_GCN_MODELS, else models/ of the checkout; of an installed package, which nothing
    is written into, ~/.cache/st-gcn.
    """
    if folder := os.environ.get("ST_GCN_MODELS"):
        return Path(folder)
    installed = ROOT.name == "stgcn_home"  # of pyproject.toml
    return Path.home() / ".cache" / "st-gcn" if installed else ROOT / "models"


def located(path: str | Path) -> Path:
    """A path of the command line or a config: from here or, where there is nothing, from the project's folder."""
    path = Path(path)
    if path.is_absolute() or path.exists():
        return path
    fetched = models_folder() / path.name if path.parts[:-1] == ("models",) else ROOT / path
    return fetched if fetched.exists() else path
