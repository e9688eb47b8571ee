"""A chapter in JupyterLab in a headless Chromium: run it, move its widgets, time their answers.

with lab(notebooks) as address, browser() as context:
    chapter = Chapter(context, address, "02_td_learning.ipynb")
    chapter.run_all()
    reactions = chapter.move_every_control()
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, sync_playwright

ROOT = Path(__file__).parents[2]
COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page
}
# JupyterLab's debugger asks the kernel that "Restart Kernel and Run All Cells" is ending.
BENIGN = ("Could not restore the debugger state: Canceled future",)
START_SECONDS = 60
RUN_SECONDS = 240
ANSWER_SECONDS = 5  # a broken widget never answers; how fast a whole one is, is measured
QUIET_MILLISECONDS = 150
REPETITIONS = 2

CONTROLS = (
    ".widget-hslider, .widget-vslider, .widget-dropdown, .widget-checkbox, .widget-button,"
    ".widget-text,"
    ".widget-toggle-buttons, .widget-toggle-button:not(.widget-toggle-buttons *)"
)

# Times are the browser's own: an input event carries when it happened, the readout of a slider
# when its value changed, and an image says when its new picture has been loaded.
WATCH_PANEL = """panel => {
    const watch = panel.watch = {input: 0, value: 0, pictures: []};
    const last = event => {
        const hovers = event.type === "pointermove" && !event.buttons;
        if (!hovers) watch.input = event.timeStamp;
    };
    for (const type of ["keydown", "pointermove", "click", "change"])
        document.addEventListener(type, last, true);
    panel.addEventListener("load", () => watch.pictures.push(performance.now()), true);
    const readouts = () =>
        [...panel.querySelectorAll(".widget-readout")].map(each => each.textContent).join();
    let shown = readouts();
    new MutationObserver(() => {
        if (readouts() !== shown) watch.value = performance.now();
        shown = readouts();
    }).observe(panel, {subtree: true, characterData: true, childList: true});
}"""
FORGET = "panel => { panel.watch.input = panel.watch.value = 0; panel.watch.pictures = []; }"
ANSWERED = """([panel, quiet]) => panel.watch.pictures.length
    && performance.now() - panel.watch.pictures.at(-1) > quiet
    && document.querySelector(".jp-Notebook-ExecutionIndicator[data-status=idle]") !== null"""
PICTURES = "panel => [...panel.querySelectorAll('img')].map(image => image.src).join()"
ALL_EXECUTED = """() => {
    const prompts = [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")]
        .map(prompt => prompt.textContent.trim());
    // The committed outputs carry numbers too: the numbers count once a [*] has been seen.
    window.started ||= prompts.some(text => /\\[[ *]\\]/.test(text));
    return window.started && prompts.every(text => /\\[\\d+\\]/.test(text));
}"""


@dataclass(frozen=True)
class Reaction:
    """How long a widget took from an input to the picture that answers it."""

    panel: int
    control: str
    gesture: str
    milliseconds: float


def find_browser() -> dict[str, str] | None:
    """How Playwright is to start a Chromium of this machine; None if there is none.

    In this order: the path in the environment variable BROWSER_PATH, a command on the PATH,
    the browser that Playwright installed, Chrome or Edge at its usual place.
    """
    commands = [os.environ.get("BROWSER_PATH"), *map(shutil.which, COMMANDS)]
    for path in filter(None, commands):
        return {"executable_path": path}
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        if Path(own).exists():
            return {"executable_path": own}
        for channel in ("chrome", "msedge"):
            try:
                playwright.chromium.launch(channel=channel).close()
            except Exception:  # not installed; Playwright has no narrower class for it
                continue
            return {"channel": channel}
    return None


@contextmanager
def lab(notebooks: Path) -> Iterator[str]:
    """Serve a copy of a folder of notebooks with a JupyterLab of its own; yields its address."""
    work = Path(tempfile.mkdtemp(prefix="lab-"))
    shutil.copytree(notebooks, work / "notebooks")
    for name, setting in SETTINGS.items():
        file = work / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(setting), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    private = {
        "JUPYTER_CONFIG_DIR": work / "config",
        "JUPYTER_DATA_DIR": work / "data",
        "JUPYTER_RUNTIME_DIR": work / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": work / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": work / "workspaces",
        "IPYTHONDIR": work / "ipython",
        "PYTHONPATH": ROOT,
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    environment = os.environ | {name: str(value) for name, value in private.items()}
    environment.pop("MPLBACKEND", None)
    options = [
        "--no-browser",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={work}",
        "--ServerApp.allow_root=True",
        "--ServerApp.disable_check_xsrf=True",
        "--IdentityProvider.token=",
        "--LabApp.news_url=",
    ]
    with open(work / "lab.log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for_server(address, server, work / "lab.log")
        yield address
    finally:
        _stop(server)
        shutil.rmtree(work, ignore_errors=True)


def _wait_for_server(address: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/api/status", timeout=2).close()
            return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise RuntimeError(
        f"JupyterLab did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}"
    )


def _stop(server: subprocess.Popen) -> None:
    """End the server and its kernels, gently first."""
    if os.name == "nt":
        server.terminate()
    else:
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@contextmanager
def browser(
    found: dict[str, str], width: int = 1280, height: int = 1000
) -> Iterator[BrowserContext]:
    """A headless browser window with an empty profile."""
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(headless=True, args=CHROMIUM_FLAGS, **found)
        context = window.new_context(viewport={"width": width, "height": height})
        yield context
        context.close()
        window.close()


class Chapter:
    """A notebook open in JupyterLab, with all that the browser complained of."""

    def __init__(self, context: BrowserContext, address: str, name: str) -> None:
        self.address = address
        self.name = name
        self.console_errors: list[str] = []
        self.outside_requests: set[str] = set()
        self.page: Page = context.new_page()
        self.page.on("console", self._note_message)
        self.page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        self.page.on("request", lambda request: self._note_request(request.url))
        self.page.goto(f"{address}/lab/tree/notebooks/{name}?reset")
        self.page.locator(".jp-Notebook").wait_for(timeout=START_SECONDS * 1000)
        self._wait_for_kernel()

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(BENIGN):
            self.console_errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _note_request(self, url: str) -> None:
        if not url.startswith((self.address, self.address.replace("http", "ws"), "data:", "blob:")):
            self.outside_requests.add(url)

    def _sessions(self) -> list[dict]:
        """The server's view of the chapter: the page says "idle" before there is a kernel."""
        with urllib.request.urlopen(f"{self.address}/api/sessions", timeout=10) as answer:
            return [each for each in json.load(answer) if each["path"].endswith(self.name)]

    def _wait_for_kernel(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            kernels = [session["kernel"] for session in self._sessions()]
            if any(k["execution_state"] == "idle" and k["connections"] for k in kernels):
                return
            self.page.wait_for_timeout(200)
        raise RuntimeError("the kernel did not start")

    def close(self) -> None:
        """Close the page and end its kernel."""
        self.page.close()
        for session in self._sessions():
            url = f"{self.address}/api/sessions/{session['id']}"
            urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=10).close()

    def run_all(self) -> None:
        """Restart the kernel, run all cells and wait for the last."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Restart Kernel and Run All Cells").click()
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.page.wait_for_function(ALL_EXECUTED, timeout=RUN_SECONDS * 1000, polling=50)

    def complaints(self) -> list[str]:
        """Texts of all outputs that are an error or were written to stderr."""
        mimes = ("application/vnd.jupyter.error", "application/vnd.jupyter.stderr")
        outputs = ", ".join(f".jp-OutputArea-output[data-mime-type='{mime}']" for mime in mimes)
        return self.page.locator(outputs).all_inner_texts()

    def panels(self) -> list[Locator]:
        """The widgets of the chapter, in order."""
        return self.page.locator(".course-widget").all()

    def move_every_control(self) -> list[Reaction]:
        """Use each control of each widget by keyboard and by mouse; each must change a picture."""
        reactions = []
        for number, panel in enumerate(self.panels(), 1):
            panel.scroll_into_view_if_needed()
            panel.locator("img").first.wait_for(timeout=ANSWER_SECONDS * 1000)
            panel.evaluate(WATCH_PANEL)
            controls = panel.locator(CONTROLS).all()
            assert controls, f"widget {number} has no control that this check knows"
            for control in controls:
                for gesture, move in _gestures(control) * REPETITIONS:
                    if not control.count() or control.is_disabled():
                        continue  # others have made it useless, as a full tree takes no nodes
                    milliseconds = self._react(panel, control, gesture, move)
                    reactions.append(Reaction(number, _label(control), gesture, milliseconds))
        return reactions

    def _react(self, panel: Locator, control: Locator, gesture: str, move) -> float:
        panel.evaluate(FORGET)
        before = panel.evaluate(PICTURES)
        move(control)
        try:
            self.page.wait_for_function(
                ANSWERED,
                arg=[panel.element_handle(), QUIET_MILLISECONDS],
                timeout=ANSWER_SECONDS * 1000,
                polling=20,
            )
        except Exception as error:  # say which control it was, whatever went wrong
            raise AssertionError(f"no new picture: {_label(control)} by {gesture}") from error
        assert panel.evaluate(PICTURES) != before
        watch = panel.evaluate("panel => panel.watch")
        # A drag ends in moves that no longer change the value: what counts is its last change.
        cause = watch["value"] if gesture == "drag" and watch["value"] else watch["input"]
        return watch["pictures"][-1] - cause


def _label(control: Locator) -> str:
    """The description, or else the words on the control; ipywidgets pads with zero-width spaces."""
    texts = [*control.locator(".widget-label").all_inner_texts(), control.inner_text()]
    return next(filter(None, (text.strip(" \n\u200b") for text in texts)), "without a name")


def _gestures(control: Locator):
    """What a reader can do with a control: pairs of a name and a function that does it."""
    classes = (control.get_attribute("class") or "").split()
    if "widget-hslider" in classes or "widget-vslider" in classes:
        return [("keyboard", _press_arrow), ("drag", _drag)]
    if "widget-dropdown" in classes:
        # On macOS the list that opens is the system's, out of reach of the page's keys.
        by_key = _choose_next if sys.platform == "darwin" else _open_and_press_arrow
        return [("keyboard", by_key), ("choice", _choose_next)]
    if "widget-text" in classes:
        return [("keyboard", _type_a_number)]
    return [("keyboard", _press_space), ("click", _click)]


def _press_arrow(slider: Locator) -> None:
    handle = slider.locator(".noUi-handle").first
    value = handle.get_attribute("aria-valuetext")
    handle.press("ArrowRight")
    if handle.get_attribute("aria-valuetext") == value:  # it stood at its end
        handle.press("ArrowLeft")


def _drag(slider: Locator) -> None:
    """To the far quarter of the track, in steps as a hand does it."""
    mouse = slider.page.mouse
    track = slider.locator(".noUi-base").bounding_box()
    handle = slider.locator(".noUi-handle").first.bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    mouse.move(x, y)
    mouse.down()
    if track["width"] > track["height"]:
        in_first_half = x < track["x"] + track["width"] / 2
        mouse.move(track["x"] + track["width"] * (0.8 if in_first_half else 0.2), y, steps=10)
    else:
        in_first_half = y < track["y"] + track["height"] / 2
        mouse.move(x, track["y"] + track["height"] * (0.8 if in_first_half else 0.2), steps=10)
    mouse.up()


def _choose_next(dropdown: Locator) -> None:
    select = dropdown.locator("select")
    count = select.locator("option").count()
    select.select_option(index=(select.evaluate("list => list.selectedIndex") + 1) % count)


def _open_and_press_arrow(dropdown: Locator) -> None:
    # The arrow keys of a closed list belong to JupyterLab, which moves to the next cell.
    select = dropdown.locator("select")
    is_last = select.evaluate("list => list.selectedIndex == list.options.length - 1")
    select.press("Space")
    for key in ("ArrowUp" if is_last else "ArrowDown", "Enter"):
        dropdown.page.keyboard.press(key)


def _type_a_number(box: Locator) -> None:
    field = box.locator("input")
    field.fill("1" if field.input_value() != "1" else "2")
    field.press("Enter")


def _button(control: Locator) -> Locator:
    """The clickable part of a checkbox, of a button, or of the next unpressed one of a group."""
    if control.locator("input[type=checkbox]").count():
        return control.locator("input[type=checkbox]")
    if control.locator("button").count():
        return control.locator("button:not(.mod-active)").first
    return control


def _press_space(control: Locator) -> None:
    _button(control).press("Space")


def _click(control: Locator) -> None:
    _button(control).click()
