"""CPU kernels of the patch machine: noise, posterior, Euler-Maruyama step, mode sums.

They trust their arguments; `fastpatch.kernels.patch` prepares these. In the order of what builds on what: `intrinsics`,
`exponentials`, `scratch`, `noise`; `logits` and `posterior` of a run of rows, `mode_sums` of its response; `tiles` and
`step`, which Python calls. `blocks` are the kernels of large dictionaries, `signs` those of correlations.

The lattice is cut into bands of sixteen rows, the unit of parallel work, and a band into tiles of some eighty columns.
A tile with its halo is one flat array: row u of a pattern is then an offset of u rows, every inner loop is one long run
over contiguous memory, and halo columns are computed along and ignored. Within a tile the posterior is worked out in
runs of eight rows, a compromise between cache and calls. All scratch space of a thread is one flat array, addressed by
offsets: slicing it would cost more than the loops.
"""

from .blocks import fold_block, respond_block
from .intrinsics import fma
from .noise import NOISE_SIZE, standard_normals, threefry4x32
from .scratch import BAND, scratch_size, tile_columns
from .step import advance
from .tiles import evaluate

__all__ = [
    "BAND",
    "NOISE_SIZE",
    "advance",
    "evaluate",
    "fma",
    "fold_block",
    "respond_block",
    "scratch_size",
    "standard_normals",
    "threefry4x32",
    "tile_columns",
]
