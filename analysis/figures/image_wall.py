"""Many images of one size as one picture: an axes for each would take seconds to lay out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = ["draw_image_wall"]


def draw_image_wall(
    axes: Axes,
    images: NDArray[Any],
    *,
    limit: float = 1.0,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
) -> None:
    """Images (rows, columns, H, W) or (rows, columns, 1, H, W) in grey, (rows, columns, 3, H, W) in colour.

    Black is -``limit`` and white is ``limit``; what lies outside is cut off, and places that hold NaN stay empty.
    Labels are those of the rows, left, and of the columns, above.
    """
    rows, columns, *_, H, W = images.shape
    gap = max(1, H // 28)
    shades = np.clip(0.5 + 0.5 / limit * images.reshape(rows, columns, -1, H, W), 0.0, 1.0)
    wall = np.ones((rows, H + 2 * gap, columns, W + 2 * gap, 3))
    wall[:, gap:-gap, :, gap:-gap] = np.nan_to_num(shades, nan=1.0).transpose(0, 3, 1, 4, 2)
    height, width = H + 2 * gap, W + 2 * gap
    axes.imshow(wall.reshape(rows * height, columns * width, 3), interpolation="nearest")
    axes.set_yticks(height * (np.arange(len(row_labels)) + 0.5) - 0.5, list(row_labels))
    axes.set_xticks(width * (np.arange(len(column_labels)) + 0.5) - 0.5, list(column_labels))
    axes.tick_params(length=0, labelsize="small", labeltop=True, labelbottom=False)
    # Labels take their room at the left, which the layout does not know once the sides are equal.
    axes.set_anchor("E" if row_labels else "C")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
