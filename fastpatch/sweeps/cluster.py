"""Where a sweep runs: workers of this machine by default, or any running scheduler."""

import json
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, Security
from distributed.comm.addressing import get_address_host_port
from distributed.utils import silence_logging_cmgr
from tornado.ioloop import PeriodicCallback

from ..errors import InvalidInputError, SchedulerError
from ..messages import one_line, reason
from ..validation import integer
from .run import UNGUARDED, require_main_guard

__all__ = ["connect", "local_client"]

# Seconds to wait for a scheduler to answer.
_TIMEOUT = 10

_CONFIG = {
    # Forked workers inherit Numba's thread pool and die of it.
    "distributed.worker.multiprocessing-method": "spawn",
    # Workers that a task may lose before it is given up: machines die for other reasons than the task.
    "distributed.scheduler.allowed-failures": 20,
    # Seconds that a worker may take to start again before it is replaced.
    "distributed.deploy.lost-worker-timeout": 30,
}

# What `multiprocessing` does in a new process: paths and script of the parent.
_TRIAL = """
import json, multiprocessing, sys
from multiprocessing import spawn
sys.path[:] = json.loads(sys.argv[1])
multiprocessing.current_process()._inheriting = True
if len(sys.argv) > 2:
    spawn._fixup_main_from_path(sys.argv[2])
import fastpatch.sweeps.cluster
multiprocessing.get_context("spawn").Lock()
"""

# One thread a worker, and none that spins while it waits.
_ENVIRONMENT = {"NUMBA_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


@contextmanager
def local_client(workers: int | None = None) -> Iterator[Client]:
    """A cluster of ``workers`` single-threaded processes on this machine, one a core by default; gone afterwards.

    What these and this process tell each other is encrypted, by keys that last as long as they do, on ports that the
    system chooses: nobody else on this machine can have the workers run anything.

    Raises `InvalidInputError` for a number below 1, and `SchedulerError`, with the reason, where the processes do not
    start.
    """
    require_main_guard()
    count = CPU_COUNT if workers is None else integer(workers, "workers", minimum=1)
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_CONFIG))
        # Where a worker dies while it starts, Tornado logs a traceback.
        stack.enter_context(silence_logging_cmgr(logging.CRITICAL, root="tornado.application"))
        try:
            cluster = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                dashboard_address=_dashboard_address(),
                silence_logs=logging.CRITICAL,
                env=_ENVIRONMENT,
                security=Security.temporary(),
                protocol="tls://",
            )
        # Of Dask, of the system, or of what the workers import.
        except Exception as error:
            raise SchedulerError(f"the worker processes did not start: {_obstacle(error)}") from error
        stack.enter_context(cluster)
        client = stack.enter_context(Client(cluster, set_as_default=False))
        # A worker that died while it started, or took too long, is given up by Dask; this replaces it.
        replacing = PeriodicCallback(lambda: cluster.scale(count), 5000)
        client.loop.add_callback(replacing.start)
        stack.callback(client.loop.add_callback, replacing.stop)
        yield client


def _obstacle(error: BaseException) -> str:
    """Why worker processes do not start, found by doing in another one what they do before anything else."""
    script = getattr(sys.modules["__main__"], "__file__", None)
    if script is not None and not Path(script).is_file():
        return (
            f"they import the script that calls this, and {script} is none; expected a script in a file, or `python -c`"
        )
    try:
        trial = subprocess.run(
            [sys.executable, "-c", _TRIAL, json.dumps(sys.path), *([] if script is None else [script])],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as failed:
        return f"this system starts no process ({reason(failed)}); expected one that does"
    said = trial.stderr.decode(errors="replace").strip()
    if trial.returncode and UNGUARDED in said:
        return UNGUARDED
    if trial.returncode:
        last = one_line(said.splitlines()[-1], 200) if said else f"exit status {trial.returncode}"
        return f"they import what is imported here, and that fails in them ({last}); expected it to work there, too"
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return (
        f"{type(error).__name__}, {reason(error)}; expected a system with room for them: memory, open files, processes "
        "and semaphores in /dev/shm"
    )


def _dashboard_address() -> str:
    """Dask's usual port on the loopback interface, or any free one where another dashboard has that."""
    with socket.socket() as attempt:
        try:
            attempt.bind(("127.0.0.1", 8787))
        except OSError:
            return "127.0.0.1:0"
    return "127.0.0.1:8787"


@contextmanager
def connect(address: str) -> Iterator[Client]:
    """A client of the running scheduler at ``address``, as ``tcp://host:8786``.

    Raises `InvalidInputError` for what is no address, and `SchedulerError`, naming address and time-out, where no
    scheduler answers.
    """
    try:
        get_address_host_port(address)
    except ValueError as error:
        raise InvalidInputError(
            f"the scheduler's address is {address!r} ({reason(error)}); expected tcp://host:port"
        ) from None
    # A lost scheduler is reported in one sentence, and not by tracebacks in Dask's log.
    with silence_logging_cmgr(logging.CRITICAL):
        try:
            client = Client(address, timeout=_TIMEOUT, set_as_default=False)
        except OSError:
            raise SchedulerError(
                f"no scheduler answered at {address} within {_TIMEOUT} s; expected that of a running `dask scheduler`"
            ) from None
        with client:
            yield client
