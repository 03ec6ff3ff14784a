"""``fed-plugin <command>``."""

from __future__ import annotations

from fed_plugin.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
