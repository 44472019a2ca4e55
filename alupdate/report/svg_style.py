"""The styles of figures in the terms of SVG, for light and dark pages."""

from typing import Any

from alupdate.analysis.styles import Marker, Style

LINE_WIDTH = 2
"""In pixels; dashes are multiples of it, as in the figures."""
NAMED_DASHES = {"-": (), "--": (3.7, 1.6), ":": (1, 1.65)}
"""Matplotlib's names of lines."""
DARK_BACKGROUND = "#14171c"
MIN_CONTRAST = 4.0
"""Of a line to the background; WCAG 2.2 asks 3 of graphical objects."""


def marker_name(marker: Marker) -> str:
    """Return the name by which the page's script knows a marker; (n, 1, 0) is a star."""
    return marker if isinstance(marker, str) else f"star{marker[0]}"


def svg_style(style: Style) -> dict[str, Any]:
    """Return colours (light, dark), marker, hollow, and dash, an SVG dash pattern."""
    line = style.line
    dashes = NAMED_DASHES[line] if isinstance(line, str) else line[1]
    return {
        "light": style.colour,
        "dark": on_dark(style.colour),
        "marker": marker_name(style.marker),
        "hollow": style.hollow,
        "dash": " ".join(f"{LINE_WIDTH * length:g}" for length in dashes),
    }


def on_dark(colour: str) -> str:
    """Return the colour, mixed with white until it stands out from the dark background.

    Black becomes white, so that it stays apart from the greys.
    """
    if colour == "#000000":
        return "#ffffff"
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    for share in range(0, 101, 5):
        mixed = [round(c + (255 - c) * share / 100) for c in (red, green, blue)]
        found = "#" + "".join(f"{c:02x}" for c in mixed)
        if contrast(found, DARK_BACKGROUND) >= MIN_CONTRAST:
            return found
    return "#ffffff"


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours by WCAG 2.2."""
    brighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
