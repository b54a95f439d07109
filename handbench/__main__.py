"""``python -m handbench``."""

from __future__ import annotations

from handbench.cli import main

if __name__ == "__main__":
    main()
