"""Compiled kernels, and what arranges their arguments."""

from .environment import require_compiler

require_compiler()
