"""``python -m fastpatch``."""

from .cli import main

main()
