"""What notebooks show of dictionaries and models: patterns as drawings, facts as a table, in the colour of text."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["facts_html", "fields_html"]

_SIDE = 44


def fields_html(title: str, fields: NDArray[Any], captions: list[str], note: str = "") -> str:
    """Fields (n, H, W) side by side as vector drawings, each with a caption, under a title.

    The smallest value of all is drawn transparent and the largest opaque, in the colour of the text around.
    """
    low, high = float(fields.min()), float(fields.max())
    opacity = (fields - low) / (high - low) if high > low else np.ones(fields.shape)
    cells = "".join(
        f'<figure style="margin:0;text-align:center">{_drawing(one)}'
        f'<figcaption style="font-size:0.75em">{escape(caption)}</figcaption></figure>'
        for one, caption in zip(opacity, captions, strict=True)
    )
    return (
        f'<div><strong>{escape(title)}</strong><div style="display:flex;flex-wrap:wrap;gap:8px;margin:6px 0">'
        f'{cells}</div><span style="font-size:0.85em">{escape(note)}</span></div>'
    )


def facts_html(facts: Mapping[str, Any]) -> str:
    """Names and values as a table of two columns."""
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(str(value))}</td></tr>'
        for name, value in facts.items()
    )
    return f"<table>{rows}</table>"


def _drawing(opacity: NDArray[Any]) -> str:
    height, width = opacity.shape
    squares = "".join(
        f'<rect x="{j}" y="{i}" width="1" height="1" fill-opacity="{opacity[i, j]:.3g}"/>'
        for i in range(height)
        for j in range(width)
        if opacity[i, j] > 0.0
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_SIDE}" height="{_SIDE}" viewBox="0 0 {width} {height}" '
        f'fill="currentColor" shape-rendering="crispEdges"><rect x="0" y="0" width="{width}" height="{height}" '
        f'fill="none" stroke="currentColor" stroke-width="0.1"/>{squares}</svg>'
    )
