"""A sweep small enough to run many times, and what several files of tests look at in its directory."""

from contextlib import contextmanager

# Lattices, steps and trajectories that differ, so that points have records and trajectories of different number.
SPEC = {
    "records": 8,
    "shells": 3,
    # So few steps are stable with this solver.
    "parameters": {"shape": [8, 12], "steps": [15, 20, 40], "trajectories": [1, 2], "solver": "ancestral"},
}
COUNT = 12


def content(directory):
    """The bytes of every file of a sweep but the lock, by path."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@contextmanager
def threaded_client():
    """A cluster of one worker in a thread of this process, which starts at once and sees what a test has patched."""
    from distributed import Client

    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", set_as_default=False
    ) as client:
        yield client
