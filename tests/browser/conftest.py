"""What every test in a browser needs: one that is installed."""

import os

import pytest

from tests.browser import jupyterlab


@pytest.fixture(scope="session")
def chromium():
    """The command of Chromium, Chrome or Edge; where CI could have installed one, it must."""
    found = jupyterlab.find_browser()
    if not found and os.environ.get("CI"):
        pytest.fail("no Chromium, Chrome or Edge: install one, or set BROWSER_PATH")
    if not found:
        pytest.skip("no Chromium, Chrome or Edge here: install one, or set BROWSER_PATH")
    return found
