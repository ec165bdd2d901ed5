"""The posterior of whole fields, tile by tile."""

from ..jit import entry, kernel
from .crew import claim
from .logits import correlate_tile, row_sums_within
from .mode_sums import contract_tile, sum_lines
from .posterior import posterior_run
from .scratch import BAND, DOTS, MEAN, RUN, TILE, columns_at, correlations_at, fill, load_padded, rounded, tile_columns

__all__ = ["evaluate", "posterior_tile", "tiling"]

_tile_columns = kernel()(tile_columns)


@kernel()
def posterior_tile(s, x, i0, height, j0, width, law, plan, wave, margin, response, projection):
    """Posterior mean of a tile, at ``MEAN``; its response fields and mode sums where those are not empty.

    The mode sums leave out the margin (rows, columns) of x on every side.
    """
    size, units = plan.unit_row.shape[1], plan.centers.size
    stride = width + size - 1
    correlated = correlations_at(units)
    load_padded(x, i0, height, j0, width, size // 2, s)
    padded = (height + size - 1) * stride
    correlate_tile(s, plan, correlated, rounded(padded))
    want_response = response.size + projection.size > 0
    small = size == 5 and not want_response and row_sums_within(s, padded, law.bound)
    top, bottom = max(margin[0] - i0, 0), min(x.shape[0] - margin[0] - i0, height)
    left, right = max(margin[1] - j0, 0), min(x.shape[1] - margin[1] - j0, width)
    if projection.size > 0:
        for k in range(3 * units):
            fill(s, columns_at(units) + k * TILE, 0.0, rounded(width + height))
    for g0 in range(0, height, RUN):
        g1 = min(g0 + RUN, height)
        posterior_run(s, g0 * stride, (g1 - g0) * stride, stride, law, plan, correlated, small, want_response)
        first, last = max(top, g0) - g0, min(bottom, g1) - g0
        if projection.size > 0 and first < last and left < right:
            sum_lines(s, g0, first, last, left, right - left, stride, units, projection.shape[0] > 2)
        if response.size > 0:
            for k in range(units):
                for g in range(g1 - g0):
                    for c in range(width):
                        response[k, i0 + g0 + g, j0 + c] = s[DOTS + 2 * k * TILE + g * stride + c]
    if projection.size > 0:
        contract_tile(s, i0, height, j0, width, units, wave, projection)
    return stride


@kernel()
def tiling(band, shape, size):
    """First row, height and widest tile of a band: tiles of equal width, in cache lines of sixteen where that fits."""
    i0, most = band * BAND, _tile_columns(size)
    tiles = (shape[1] + most - 1) // most
    equal = (shape[1] + tiles - 1) // tiles
    aligned = (equal + 15) // 16 * 16
    return i0, min(BAND, shape[0] - i0), aligned if aligned <= most else equal


@kernel()
def _evaluate_band(s, x, band, law, plan, wave, mean, response, projection):
    """Posterior mean, response fields (U, L1, L2) and mode sums (directions, shells) of a band, each if not empty."""
    i0, height, widest = tiling(band, x.shape, plan.unit_row.shape[1])
    for j0 in range(0, x.shape[1], widest):
        width = min(widest, x.shape[1] - j0)
        stride = posterior_tile(s, x, i0, height, j0, width, law, plan, wave, (0, 0), response, projection)
        if mean.size > 0:
            for g in range(height):
                for c in range(width):
                    mean[i0 + g, j0 + c] = s[MEAN + g * stride + c]


@entry()
def evaluate(crew, x, law, plan, wave, scratch, mean, response, projections):
    """Fill what is not empty of mean (T, L1, L2), response (T, U, L1, L2), projections (T, bands, ways, shells).

    ``scratch`` (workers, `scratch_size`) has a row for every thread of the crew.
    """
    bands = (x.shape[1] + BAND - 1) // BAND
    task = claim(crew)
    while task < x.shape[0] * bands:
        path, band = task // bands, task % bands
        _evaluate_band(
            scratch[crew.worker],
            x[path],
            band,
            law,
            plan,
            wave,
            mean[path if mean.size > 0 else 0],
            response[path if response.size > 0 else 0],
            projections[path if projections.size > 0 else 0, band if projections.size > 0 else 0],
        )
        task = claim(crew)
