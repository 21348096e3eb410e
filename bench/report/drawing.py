"""What all figures share: colours, style, and SVG that is the same bytes every time."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

from markupsafe import escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from bench.errors import shorten
from bench.report.view import View
from bench.units import format_seconds

# Okabe and Ito's palette, told apart by colour-blind readers (Nature Methods 8, 441, 2011).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A7A7A")
_TIMES = (
    (1e-4, "0.1 ms"), (1e-3, "1 ms"), (1e-2, "10 ms"), (0.1, "100 ms"), (1.0, "1 s"),
    (10.0, "10 s"), (60.0, "1 min"), (600.0, "10 min"), (3600.0, "1 h"), (36000.0, "10 h"),
)  # fmt: skip
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "inference-testbed",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#777777",
    "text.color": "#777777",
    "xtick.color": "#777777",
    "ytick.color": "#777777",
}


def colour_of(view: View, deployment: str) -> str:
    """One colour per deployment, by its place in the scenario, throughout the report."""
    names = [curve.deployment for curve in view.curves]
    return COLOURS[names.index(deployment) % len(COLOURS)]


def plain(name: str) -> str:
    """A name as matplotlib draws it verbatim: no mathematics, no control characters."""
    flat = shorten(re.sub(r"[\x00-\x1f]", " ", name), 36)
    return flat.replace("$", r"\$")


def mark_times(axes: Any) -> None:
    """Ticks at the times people think in."""
    low, high = axes.get_xlim()
    shown = [(at, text) for at, text in _TIMES if low <= at <= high]
    if len(shown) < 2:  # a narrow figure
        fine = (step * 10.0**power for power in range(-6, 6) for step in (1, 2, 5))
        shown = [(at, format_seconds(at)) for at in fine if low <= at <= high]
    if len(shown) > 1:
        axes.set_xticks([at for at, _ in shown], [text for _, text in shown], minor=False)
        axes.minorticks_off()


def svg(figure: Figure, title: str, description: str = "") -> str:
    """The figure for a page; ``description`` is for those who do not see it."""
    buffer = io.StringIO()
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_facecolor("none")
    # Figure.savefig would draw everything twice, the first time for the layout alone.
    FigureCanvasSVG(figure).print_svg(buffer, metadata=_no_metadata())  # type: ignore[no-untyped-call]
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Inside HTML, SVG needs no namespaces; without them the page holds no URL at all.
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
    if not description:
        return text
    told = f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
    return re.sub(r"(<svg [^>]*>)", lambda found: found[1] + told, text, count=1)


def _no_metadata() -> dict[str, None]:
    names: Sequence[str] = ("Date", "Creator", "Format", "Type")
    return dict.fromkeys(names)
