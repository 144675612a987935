"""One seed for all random generators."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Seed the global generators of python, numpy and torch (every GPU's too)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (code of a user's own may draw from it)
    torch.manual_seed(seed)
