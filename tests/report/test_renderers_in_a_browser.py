"""The page in a real browser: it loads nothing, complains of nothing, and fits a phone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest
from PIL import Image

from fed_plugin.report.contents import make_report
from fed_plugin.report.renderers import write_report
from fed_plugin.report.tables import read_benchmark

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--virtual-time-budget=3000", "--hide-scrollbars"),
    *("--allow-file-access-from-files", "--disable-dev-shm-usage"),
)
MEASURE = """<!DOCTYPE html><body>
<iframe id="page" src="file://{page}" width="{width}" height="900"></iframe>
<p id="found">nothing</p><script>
page.onload = () => {{ const d = page.contentDocument, root = d.documentElement;
  const images = [...d.images].map((one) => one.naturalWidth > 0 && one.alt.length > 0);
  found.textContent = JSON.stringify([root.scrollWidth, images.length, images.every(Boolean),
    d.querySelectorAll("svg[role=img]").length, d.querySelectorAll("script").length,
    [...d.querySelectorAll("th")].every((one) => one.scope), [...d.querySelectorAll("[id]")]
    .every((one, _, all) => all.filter((two) => two.id === one.id).length === 1),
    performance.getEntriesByType("resource").map((one) => one.name)]); }};
</script></body>"""


@pytest.fixture(scope="session")
def browser():
    """The path of a browser; tests are skipped without one."""
    asked = os.environ.get("FED_PLUGIN_BROWSER")
    found = asked or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        pytest.skip(
            "no browser: on Debian, `apt-get install -y chromium`; or name one in "
            "FED_PLUGIN_BROWSER"
        )
    return found


@pytest.fixture
def visit(browser, tmp_path):
    """Run the browser on a file: ``visit(path, *flags)`` returns its output and its log."""

    def run(path, *flags):
        profile = tmp_path / f"profile{len(list(tmp_path.iterdir()))}"
        command = [browser, *FLAGS, f"--user-data-dir={profile}", *flags, f"file://{path}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout, done.stderr

    return run


@pytest.fixture(scope="session")
def page(finished_benchmark, images, tmp_path_factory):
    """The report of the small benchmark, with pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTREID_DATASETS", str(images))
        report = make_report(read_benchmark(finished_benchmark))
    return write_report(report, tmp_path_factory.mktemp("report"))[-1]


def complaints(log):
    """Return what the page itself had to say in the browser's log."""
    return [line for line in log.splitlines() if "CONSOLE" in line]


def test_the_page_is_read_as_it_was_written(visit, page, hostile):
    dom, log = visit(page, "--dump-dom")
    assert complaints(log) == []
    assert "<script" not in dom and "<b>small" not in dom
    assert dom.count("&lt;script&gt;alert('FED')&lt;/script&gt; &amp; Co") > 5
    for heading in (
        "CMC",
        "Training",
        "Worst failures",
        "By visible share",
        "Robustness to occlusion",
        "Costs",
    ):
        assert f">{heading}</h" in dom
    assert len(re.findall("<table", dom)) == page.read_text().count("<table") >= 8


@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_loads_nothing_and_fits(visit, page, tmp_path, width):
    frame = tmp_path / "frame.html"
    frame.write_text(MEASURE.format(page=page, width=width))
    dom, log = visit(frame, "--dump-dom")
    assert complaints(log) == []
    found = re.search('<p id="found">(.*)</p>', dom)[1]
    shown, images, all_seen, figures, scripts, scopes, ids, loaded = json.loads(found)
    assert shown <= width
    assert images > 20 and all_seen and figures >= 8 and scripts == 0 and scopes and ids
    assert [name for name in loaded if not name.endswith("report.html")] == []


def test_the_page_tells_the_browser_to_load_nothing(visit, page, tmp_path):
    changed = tmp_path / "changed.html"
    outside = '<img src="http://127.0.0.1:9/x.png"><script>document.title = "run"</script></main>'
    changed.write_text(page.read_text().replace("</main>", outside))
    dom, log = visit(changed, "--dump-dom")
    assert len(complaints(log)) >= 2 and "Content Security Policy" in log
    assert "<title>run" not in dom


@pytest.mark.parametrize("scheme", [0, 1])
def test_light_and_dark(visit, page, tmp_path, scheme):
    picture = tmp_path / "shot.png"
    flags = ("--window-size=1200,900", f"--blink-settings=preferredColorScheme={scheme}")
    visit(page, f"--screenshot={picture}", *flags)
    with Image.open(picture) as image:
        corner, colors = image.convert("L").getpixel((2, 2)), image.convert("L").getcolors()
    assert corner > 240 if scheme else corner < 40
    assert len(colors) > 50
