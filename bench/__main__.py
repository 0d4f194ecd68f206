"""Run every bench: `python -m bench`, or those that are named: `python -m bench executor`."""

from __future__ import annotations

import importlib
import sys

NAMES = ("executor", "connector", "plugin", "reconcile", "page")


def main() -> None:
    """Run the benches that are named, or all of them."""
    unknown = [name for name in sys.argv[1:] if name not in NAMES]
    if unknown:
        sys.exit(f"there is no bench {' '.join(unknown)}; there are {', '.join(NAMES)}")
    for name in sys.argv[1:] or NAMES:
        importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
