"""How kernels that only other kernels call are compiled: once, as a part of those that Python calls.

Numba makes machine code of every function, and optimises it again, with all that it calls, in each of its callers.
Most of the time of a first run went into code that nobody would ever jump to. Here such a function stays what LLVM
calls a module, to be linked into its callers; what Python calls is optimised and translated as a whole.

This knows some of Numba's internals. Where they are others, kernels are compiled as usual, only more slowly.
"""

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

__all__ = ["PIPELINE"]


class _Codegen:
    """The code generator of a process for code that is not loaded into it."""

    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)

    def set_env(self, name: str, environment: Any) -> None:
        """There is no variable to hold it; kernels use no objects of Python's."""


class _Part(JITCodeLibrary):
    """Code to be linked into other code, and neither optimised nor made into machine code by itself."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> Any:
        return _Codegen(self._codegen)


class _PartCompiler(Compiler):
    """Numba's compiler, with the code of a function in a `_Part`."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *others: Any) -> None:
        if library is None:
            library = _Part(targetctx.codegen(), "kernel")
        super().__init__(typingctx, targetctx, library, *others)


def _suits() -> bool:
    """Whether Numba's classes have all that is replaced here, and what is used instead."""
    needed = ["_optimize_final_module", "_finalize_final_module", "_finalize_dynamic_globals"]
    needed += ["_verify_declare_only_symbols", "_ensure_finalized", "get_pointer_to_function", "codegen"]
    return all(hasattr(JITCodeLibrary, name) for name in needed)


# The keyword of ``numba.njit`` that makes it so.
PIPELINE: dict[str, Any] = {"pipeline_class": _PartCompiler} if _suits() else {}
