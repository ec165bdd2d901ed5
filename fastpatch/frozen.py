"""Arrays that stay read-only: copies and pickles of NumPy arrays are writeable whatever the original was."""

from typing import Any

import numpy as np

__all__ = ["FrozenArrays"]


class FrozenArrays:
    """A class whose array attributes are read-only stays so after `copy.copy`, `copy.deepcopy` and unpickling."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
