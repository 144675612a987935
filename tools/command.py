"""How every tool ends: a person's mistake is one line on stderr and exit 2, Ctrl-C is one line and exit 130."""

from __future__ import annotations

import sys
from collections.abc import Callable

from torchlight.errors import DataError


def run(main: Callable[[], None]) -> None:
    """Call main() and turn the errors a person can cause into one line."""
    try:
        main()
    except (DataError, OSError) as error:
        sys.exit(_fail(f"error: {error}", 2))
    except KeyboardInterrupt:
        sys.exit(_fail("interrupted", 130))


def _fail(line: str, status: int) -> int:
    print(line, file=sys.stderr)
    return status
