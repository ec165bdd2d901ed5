"""Whether kernels can be compiled in this process, and well; what is in the way is said in one sentence."""

import os
import warnings

from ..errors import BackendUnavailableError
from ..threads import available_threads

__all__ = ["has_fma", "require_compiler"]


def require_compiler() -> None:
    """Raise `BackendUnavailableError` where kernels cannot be compiled; warn, once, where they will be slow."""
    # Numba refuses a number of threads that is none, in words of its own, when it is imported.
    available_threads()
    try:
        from numba.core import config
    except ImportError as error:
        raise BackendUnavailableError(
            f"Numba, which compiles the kernels, cannot be imported ({' '.join(str(error).split())}); "
            "expected numba and numpy of versions that suit one another, as pip install --upgrade fastpatch finds them"
        ) from error
    if config.DISABLE_JIT:  # type: ignore[attr-defined]  # set at run time
        value = os.environ.get("NUMBA_DISABLE_JIT", "1")
        raise BackendUnavailableError(
            f"the environment variable NUMBA_DISABLE_JIT is {value!r}, so that no kernel is compiled, and as Python "
            "they do not run; expected that it is not set"
        )
    if not has_fma():
        warnings.warn(
            "kernels are compiled for a CPU without fused multiply-add (FMA, beside AVX2 in CPUs since 2013), where "
            "each is a function call: results are the same, but steps take many times as long; expected another CPU, "
            "or NUMBA_CPU_NAME and NUMBA_CPU_FEATURES not set",
            RuntimeWarning,
            stacklevel=2,
        )


def has_fma() -> bool:
    """Whether kernels are compiled for a CPU that multiplies and adds in one instruction."""
    from numba.core.registry import cpu_target

    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    return not triple.startswith(("x86_64", "i686")) or "+fma," in f"{features},"
