"""The command ``fastpatch``, and ``python -m fastpatch``."""

import signal

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    # Imports take a moment, in which Ctrl-C is to end the process as it ends any program: without a traceback.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from .cli import main as run

    signal.signal(signal.SIGINT, before)
    run()


if __name__ == "__main__":
    main()
