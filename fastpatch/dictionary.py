"""The dictionary of local patterns that the patch model mixes (paper Sec. 6 and App. C.1)."""

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import image_patches, sign_patterns
from .atomic import atomic_path
from .dictionary_file import read_patterns
from .errors import InvalidInputError
from .frozen import FrozenArrays
from .html_repr import fields_html
from .priors import checked_prior, frequencies
from .random_patterns import random_patterns
from .validation import finite_array, integer, plain_array

__all__ = ["PatchDictionary"]

# Patterns that a notebook shows.
_SHOWN = 24


class PatchDictionary(FrozenArrays):
    """K patterns of odd size P x P with their prior probabilities.

    Parameters
    ----------
    patterns
        Array (K, P, P) of finite real numbers, P odd. ``patterns[k, u, v]`` multiplies
        ``x[i + u - R, j + v - R]`` with ``R = P // 2``; the centre pixel is ``patterns[k, R, R]``.
        Entries need not be +-1 and patterns may differ in norm.
    prior
        Array (K,) of positive probabilities that sum to 1 within 1e-6; normalised on entry, unless the sum
        is 1 but for rounding.
        ``None`` means uniform.

    Attributes
    ----------
    patterns, prior : read-only float64 arrays (K, P, P) and (K,)

    Raises
    ------
    InvalidInputError, DtypeError
        Naming the offending shape, entry or sum. Duplicate patterns are allowed: they add their priors.

    The millions of patterns of `from_images` are held as bits, and ``patterns`` is written out when it is asked for.
    """

    prior: NDArray[np.float64]
    size: int

    def __init__(self, patterns: ArrayLike, prior: ArrayLike | None = None) -> None:
        entries = finite_array(patterns, "patterns")
        if entries.ndim != 3 or entries.shape[1] != entries.shape[2]:
            raise InvalidInputError(f"patterns has shape {entries.shape}; expected (K, P, P) with square patterns")
        count, size, _ = entries.shape
        if count < 1 or size % 2 == 0:
            raise InvalidInputError(f"patterns has shape {entries.shape}; expected K >= 1 patterns of odd size P")
        self.size = size
        self.patterns = np.array(entries)
        self.prior = checked_prior(prior, count)
        self.patterns.setflags(write=False)

    @classmethod
    def from_codes(cls, codes: ArrayLike, size: int, prior: ArrayLike | None = None) -> "PatchDictionary":
        """The dictionary of P x P patterns of +-1, P = ``size`` <= 7, held as bits like ``PatchDictionary.codes``.

        ``codes`` (K,) are whole numbers below 2^(P^2), of any real dtype; ``prior`` (K,), uniform by default. Raises
        `InvalidInputError` or `DtypeError` for anything else.
        """
        side = integer(size, "size", minimum=1, maximum=sign_patterns.LARGEST_CODED_SIZE)
        given = plain_array(codes, "codes")
        if side % 2 == 0 or given.ndim != 1 or not given.size or given.dtype.kind not in "uif":
            raise InvalidInputError(
                f"codes has shape {given.shape} and dtype {given.dtype} for size {side}; expected (K,) whole numbers "
                "and an odd size"
            )
        if not ((given >= 0) & (given < 2.0 ** (side * side)) & (given == np.floor(given))).all():
            raise InvalidInputError(f"codes reach outside the whole numbers from 0 to 2^{side * side} - 1")
        return cls._of_codes(given.astype(sign_patterns.code_dtype(side)), side, checked_prior(prior, given.size))

    @classmethod
    def _of_codes(cls, codes: NDArray[Any], size: int, prior: NDArray[np.float64]) -> "PatchDictionary":
        dictionary = cls.__new__(cls)
        dictionary.size, dictionary.prior = size, prior
        # A cached property: given here, it is not computed from the patterns.
        dictionary.__dict__["codes"] = codes
        dictionary.prior.setflags(write=False)
        codes.setflags(write=False)
        return dictionary

    @classmethod
    def random(
        cls,
        n_random: int = 8,
        sign_flips: bool = True,
        uniform_mass: float = 0.9,
        size: int = 5,
        seed: int = 0,
    ) -> "PatchDictionary":
        """Random +-1 patterns sharing ``1 - uniform_mass``, plus the two uniform patterns sharing ``uniform_mass``.

        Order: the random patterns, their sign flips (if ``sign_flips``), all +1, all -1. The three readings of the
        paper's "ten patterns" are ``random()`` (8 + 8 flips + 2 = 18, the default), ``random(n_random=4)``
        (4 + 4 + 2 = 10, eq. 31's 0.1/8) and ``random(sign_flips=False)`` (8 + 2 = 10, not Z2-symmetric).
        ``uniform_mass=0`` leaves out the uniform patterns and ``uniform_mass=1`` the random ones, since no pattern
        may have prior zero.

        Raises `InvalidInputError` for an even size, a mass outside [0, 1], or a dictionary left empty.
        """
        return cls(*random_patterns(n_random, sign_flips, uniform_mass, size, seed))

    @classmethod
    def load(cls, path: str | Path) -> "PatchDictionary":
        """The dictionary of an npz file that holds ``patterns`` (K, P, P) and, unless it is uniform, ``prior`` (K,).

        `save` writes such a file, and so does ``np.savez(path, patterns=..., prior=...)``. Nothing is unpickled.
        Raises `ResultFileError` for a file that is missing, damaged or holds no such arrays, and what the constructor
        raises.
        """
        return cls(*read_patterns(path))

    def save(self, path: str | Path) -> None:
        """Write ``patterns`` and ``prior`` as an npz file, replacing ``path`` only when it is complete.

        Raises `OutputError` where the path cannot be written.
        """
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, patterns=self.patterns, prior=self.prior)

    @classmethod
    def from_images(
        cls,
        images: ArrayLike,
        size: int = 5,
        boundary: str = "periodic",
        *,
        labels: ArrayLike | None = None,
        classes: Any = None,
    ) -> "PatchDictionary":
        """The distinct patches of images with their frequencies as prior.

        Parameters
        ----------
        images
            Array (N, H, W) or (N, 1, H, W) of finite real numbers.
        size
            Odd side P of a patch, at most the images' sides.
        boundary
            ``"periodic"``: a patch around every pixel, wrapped around the image; ``"interior"``: only those that lie
            within it; ``"padded"``: a patch around every pixel, zero outside, as a zero-padded network sees it.
        labels, classes
            With both, only images whose entry of ``labels`` (N,) is among ``classes`` (one label or several).

        Images of +-1 that are not padded, and P <= 7, are held as bits: 16 or 20 bytes a pattern. Others are held as
        float64, exactly deduplicated: 8 P^2 bytes a pattern, and P^2 multiply-adds a pattern and site in every
        evaluation. Patterns are sorted by their bits, pixel (P - 1, P - 1) first.

        Raises `InvalidInputError` or `DtypeError` for images, sizes, boundaries and labels that do not fit each other,
        and for patterns that would take more than 2 GiB.
        """
        found, side, signs = image_patches.checked_images(images, size, boundary)
        if (labels is None) != (classes is None):
            raise InvalidInputError("only one of labels and classes is given; expected both or neither")
        if labels is not None:
            found = image_patches.of_classes(found, plain_array(labels, "labels"), classes)
        if not signs or side > sign_patterns.LARGEST_CODED_SIZE:
            patterns, counts = image_patches.grey_patches(found, side, boundary)
        elif boundary == "padded":
            patterns, counts = image_patches.padded_patches(found, side)
        else:
            codes, counts = image_patches.coded_patches(found, side, boundary)
            return cls._of_codes(codes, side, frequencies(counts))
        return cls(patterns, frequencies(counts))

    @cached_property
    def patterns(self) -> NDArray[np.float64]:
        """The patterns, (K, P, P); `InvalidInputError` where they would take more than 2 GiB."""
        needed = 8 * len(self) * self.size**2
        if needed > image_patches.MOST_PATTERN_BYTES:
            raise InvalidInputError(
                f"{len(self)} patterns of {self.size}x{self.size} would take {needed / 2**30:.1f} GiB as float64; "
                f"expected at most {image_patches.MOST_PATTERN_BYTES / 2**30:.0f} GiB, or their codes"
            )
        patterns = sign_patterns.decode(self.__dict__["codes"], self.size)
        patterns.setflags(write=False)
        return patterns

    @cached_property
    def codes(self) -> NDArray[Any] | None:
        """Patterns of +-1 with P <= 7 as unsigned integers (K,): bit ``P u + v`` is set where pixel (u, v) is +1.

        None for other patterns.
        """
        if self.size > sign_patterns.LARGEST_CODED_SIZE or not (np.abs(self.patterns) == 1.0).all():
            return None
        codes = sign_patterns.encode(self.patterns)
        codes.setflags(write=False)
        return codes

    def __len__(self) -> int:
        return len(self.prior)

    def __repr__(self) -> str:
        symmetry = "Z2-symmetric" if self.is_z2_symmetric else "not Z2-symmetric"
        return (
            f"PatchDictionary({len(self)} patterns of {self.size}x{self.size}, {symmetry}, digest {self.digest[:12]})"
        )

    def _repr_html_(self) -> str:
        """The most probable patterns, for notebooks."""
        most = np.argsort(-self.prior, kind="stable")[:_SHOWN]
        held_as_bits = "patterns" not in self.__dict__
        shown = sign_patterns.decode(self.__dict__["codes"][most], self.size) if held_as_bits else self.patterns[most]
        rest = "" if len(self) <= _SHOWN else f"the {_SHOWN} most probable, {self.prior[most].sum():.1%} of the prior"
        return fields_html(repr(self), shown, [f"{weight:.3g}" for weight in self.prior[most]], rest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PatchDictionary) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def radius(self) -> int:
        """R = P // 2, the reach of a pattern from its centre pixel."""
        return self.size // 2

    @property
    def centers(self) -> NDArray[np.float64]:
        """Centre pixel c_k of every pattern, (K,)."""
        if self.codes is None:
            return self.patterns[:, self.radius, self.radius]
        word = self.codes.dtype.type
        return np.where(self.codes >> word(self.size**2 // 2) & word(1), 1.0, -1.0)

    @property
    def sums(self) -> NDArray[np.float64]:
        """Sum over the pixels of every pattern, (K,)."""
        if self.codes is None:
            return np.asarray(self.patterns.sum(axis=(1, 2)))
        return np.asarray(2.0 * np.bitwise_count(self.codes) - self.size**2)

    @property
    def squared_norms(self) -> NDArray[np.float64]:
        """||p_k||^2, (K,)."""
        if self.codes is not None:
            return np.full(len(self), float(self.size**2))
        return np.asarray(np.einsum("kuv,kuv->k", self.patterns, self.patterns))

    @cached_property
    def is_z2_symmetric(self) -> bool:
        """Whether every pattern's sign flip carries the same total prior mass (to 1e-12)."""
        if self.codes is None:
            # Adding 0.0 turns -0.0 into 0.0, so that equal patterns have equal bytes.
            flat = self.patterns.reshape(len(self), -1) + 0.0
            _, kind = np.unique(np.concatenate([flat, 0.0 - flat]), axis=0, return_inverse=True)
        else:
            flips = sign_patterns.flipped(self.codes, self.size)
            _, kind = np.unique(np.concatenate([self.codes, flips]), return_inverse=True)
        excess = np.bincount(kind, np.concatenate([self.prior, -self.prior]))
        return bool((np.abs(excess) < 1e-12).all())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of patterns and prior, the dictionary's identity in provenance."""
        found = hashlib.sha256(np.asarray((len(self), self.size, self.size), dtype="<i8").tobytes())
        for patterns in self._blocks():
            found.update(patterns.astype("<f8", copy=False).tobytes())
        found.update(self.prior.astype("<f8", copy=False).tobytes())
        return found.hexdigest()

    @cached_property
    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The mean pattern (P, P) and the second moments <p(u) p(v)> of the prior, (P, P, P, P)."""
        size, first = self.size, 0
        mean, second = np.zeros(size**2), np.zeros((size**2, size**2))
        for patterns in self._blocks():
            flat, weight = patterns.reshape(len(patterns), -1), self.prior[first : first + len(patterns)]
            mean += weight @ flat
            second += (weight[:, None] * flat).T @ flat
            first += len(patterns)
        return mean.reshape(size, size), second.reshape(size, size, size, size)

    def _blocks(self, count: int = 2**16) -> Iterator[NDArray[np.float64]]:
        """The patterns, some at a time, written out only for that."""
        for first in range(0, len(self), count):
            block = slice(first, first + count)
            # Where there are only codes.
            if "patterns" not in self.__dict__:
                yield sign_patterns.decode(self.__dict__["codes"][block], self.size)
            else:
                yield self.patterns[block]
