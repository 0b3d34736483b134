"""`python -m benchmarks.page LOG`: how large the web page of a log is, and how fast it is in headless Chromium.

It says how much processor time it takes to write the page and how large it is, how long it takes to open in a window of
1,400 by 900, how many frames a second are drawn while it plays, and how long a jump to any moment takes to be drawn.
It needs Chromium on the PATH, and Playwright (`pip install -e '.[test]'`).
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from model.log import Log
from render.page.page import page

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_SECONDS, _JUMPS = 5, 100
_COUNTS = """() => new Promise((resolve) => {
  let frames = 0;
  const begun = performance.now();
  const count = (now) => {
    frames += 1;
    if (now - begun < %d) requestAnimationFrame(count);
    else resolve((1000 * frames) / (now - begun));
  };
  requestAnimationFrame(count);
})"""
_JUMP = """(ns) => {
  const begun = performance.now();
  const scrubber = document.getElementById("scrubber");
  scrubber.value = ns;
  scrubber.dispatchEvent(new Event("input"));
  return performance.now() - begun;
}"""


def main() -> None:
    """Write a page and measure it."""
    log, browser = Path(sys.argv[1]), next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        sys.exit("there is no Chromium on the PATH")
    begun = time.process_time()
    content = page(Log.open(log)).content
    print(f"{log}: {len(content) / 1e6:.2f} MB, written in {time.process_time() - begun:.0f} s of processor time")
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "page.html")
        file.write_bytes(content)
        _measure(file, browser)


def _measure(file: Path, browser: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=_OPTIONS)
        tab = chromium.new_page(viewport={"width": 1400, "height": 900})
        begun = time.perf_counter()
        tab.goto(f"file://{file}")
        tab.wait_for_selector("body[data-ready]", timeout=120_000)
        opened_s = time.perf_counter() - begun
        frames = tab.evaluate(_COUNTS % (1000 * _SECONDS))
        tab.press("body", "End")
        end_ns = int(tab.get_attribute("#scrubber", "max") or 0)
        random = Random(1)
        jumps = sorted(tab.evaluate(_JUMP, random.randint(0, end_ns)) for _ in range(_JUMPS))
        chromium.close()
    print(f"  opens in {opened_s:.1f} s, {frames:.0f} frames a second")
    print(f"  a jump takes {jumps[_JUMPS // 2]:.0f} ms in the middle, {jumps[-1]:.0f} ms at most")


if __name__ == "__main__":
    main()
