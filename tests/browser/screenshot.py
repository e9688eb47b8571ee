"""Take the picture of the README: `python -m tests.browser.screenshot [notebook [png]]`."""

import sys
from pathlib import Path

from tests.browser import jupyterlab

PICTURE = jupyterlab.ROOT / ".github" / "chapter.png"


def take(name: str, picture: Path) -> None:
    """Run a chapter, move the first slider of its first widget, and photograph the window."""
    found = jupyterlab.find_browser()
    if not found:
        raise SystemExit("no Chromium, Chrome or Edge here: install one, or set BROWSER_PATH")
    with (
        jupyterlab.lab(jupyterlab.ROOT / "notebooks") as address,
        jupyterlab.browser(found, width=1200, height=860) as context,
    ):
        chapter = jupyterlab.Chapter(context, address, name)
        chapter.run_all()
        page, panel = chapter.page, chapter.panels()[0]
        page.keyboard.press("Control+b")  # hides the file browser
        panel.locator("img").first.wait_for()
        panel.locator(".noUi-handle").first.press("ArrowRight")
        panel.evaluate("panel => panel.scrollIntoView({block: 'end'})")
        page.wait_for_timeout(1500)
        picture.parent.mkdir(exist_ok=True)
        page.screenshot(path=picture)
        chapter.close()


if __name__ == "__main__":
    defaults = ["02_td_learning.ipynb", str(PICTURE)]
    given = sys.argv[1:]
    name, picture = given + defaults[len(given) :]
    take(name, Path(picture))
