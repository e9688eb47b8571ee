"""Unit tests draw without a screen."""

import matplotlib

matplotlib.use("Agg")
