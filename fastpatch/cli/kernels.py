"""``fastpatch compile``: machine code of the kernels, made ahead of the first run."""

import sys
import time

__all__ = ["compile_kernels"]


def compile_kernels() -> None:
    """Compile the kernels for this CPU and keep them on disk, where a first run should be quick: images, clusters.

    It takes about ten seconds, once; where everything is there already, about a second.
    """
    begin = time.perf_counter()
    from ..kernels.cache import size, writable_folder
    from ..runs.compilation import announced, compile_all

    with announced(sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None):
        compile_all()
    folder = writable_folder()
    where = "and nowhere kept" if folder is None else f"{size() / 2**20:.1f} MiB in {folder}"
    print(f"kernels compiled or found in {time.perf_counter() - begin:.1f} s, {where}")
