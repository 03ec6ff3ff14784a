"""Write the tables of ``docs/reliability.md`` from the committed records.

``python tests/soak/page.py`` rewrites them, ``--check`` only tells.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from records import RESULTS, as_markdown

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
PLACE = re.compile(r"(<!-- ([a-z_]+) -->\n).*?(<!-- /\2 -->)", re.DOTALL)


def main() -> int:
    """Rewrite or check the page."""
    old = PAGE.read_text(encoding="utf-8")
    new = PLACE.sub(lambda match: match[1] + _table(match[2]) + match[3], old)
    if "--check" not in sys.argv:
        PAGE.write_text(new, encoding="utf-8")
    elif new != old:
        print("docs/reliability.md: the records differ; run python tests/soak/page.py")
        return 1
    return 0


def _table(name: str) -> str:
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return "*Not measured yet.*\n"
    return as_markdown(json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    raise SystemExit(main())
