"""``python -m fed_plugin <command>``."""

from fed_plugin.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
