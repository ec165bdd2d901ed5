"""``fastpatch theory``: critical times and the mean-field dispersion."""

import math
from pathlib import Path
from typing import Annotated

import typer

from . import options

__all__ = ["theory"]

# The closure's lattice, 40 x 40, holds no larger patch.
_LARGEST_RADIUS = 19


def theory(
    patch_radius: Annotated[int, typer.Option(help="K of the (2K + 1)^d patch, up to 19.")] = 2,
    dimension: Annotated[int, typer.Option(help="d, the lattice dimension of the closed forms.")] = 2,
    beta: options.Beta = 1.0,
    random_patterns: Annotated[int, typer.Option(help="Random patterns of the dictionary compared.")] = 8,
    uniform_mass: Annotated[float, typer.Option(help="Prior mass of its uniform patterns.")] = 0.9,
    dictionary_seed: Annotated[int, typer.Option(help="Seed of its random patterns.")] = 0,
    out: options.Out = Path("runs/theory"),
) -> None:
    """The five critical times, in closed form and for a dictionary, and the dispersion around them.

    Writes dispersion.png.
    """
    import numpy as np

    from .. import theory as formulas
    from ..analysis.figures import draw_dispersion, save_figure
    from ..atomic import writable_directory
    from ..dictionary import PatchDictionary
    from ..models import GaussianModel
    from ..process import VPSchedule
    from ..reports import shown
    from ..validation import integer

    integer(patch_radius, "--patch-radius", minimum=0, maximum=_LARGEST_RADIUS)
    directory = writable_directory(out)
    schedule = VPSchedule(beta)
    dictionary = PatchDictionary.random(
        random_patterns, uniform_mass=uniform_mass, size=2 * patch_radius + 1, seed=dictionary_seed
    )
    closed = formulas.critical_times(K=patch_radius, d=dimension, schedule=schedule)
    exact = formulas.critical_times(dictionary=dictionary, schedule=schedule)
    labels: dict[formulas.CriticalCondition, str] = {
        "score": "1/sigma^2 = alpha^2/sigma^4 Omega (eq. 30)",
        "eq17": "1/2 + 1/sigma^2 = the same (eq. 17)",
        "drift": "1/sigma^2 - 1/2 = the same (Jacobian)",
        "renormalised": "drift, averaged over x ~ N(0, 1) (eq. 21)",
        "closure": "drift, averaged over its own field",
    }
    null = GaussianModel.from_dictionary(dictionary, (80, 80), schedule).critical_time
    omega = formulas.hypercube_volume(patch_radius, dimension)
    print(f"critical times, beta = {beta:g}")
    print(f"{'':<13}{'condition':<43}{f'Omega = {omega}':>11}{f'{len(dictionary)} patterns':>13}")
    for name, label in labels.items():
        print(f"{name:<13}{label:<43}{shown(closed[name], '.4f'):>11}{shown(exact[name], '.4f'):>13}")
    print(f"{'null':<13}{'drift of a Gaussian field: no transition':<43}{'':>11}{shown(null, '.4f'):>13}")
    print("A run's zero of lambda_0 is one of the drift: compare it with the last four.")
    softening = {name: t for name, t in exact.items() if not math.isnan(t)}
    times = {f"$t$ = {t:.2f} ({name} $t_c$)": t for name, t in sorted(softening.items(), key=lambda item: -item[1])}
    first = 1.5 * max(times.values(), default=4.0)
    times = {f"$t$ = {first:.2f}": first, **times}
    k = np.linspace(0.0, np.pi, 201)
    vectors = np.stack([k, np.zeros_like(k)], axis=-1)
    curves = [formulas.dispersion(vectors, t, dictionary=dictionary, schedule=schedule) for t in times.values()]
    path = directory / "dispersion.png"
    save_figure(
        draw_dispersion(k, curves, list(times), f"Mean-field dispersion at x = 0, {len(dictionary)} patterns"),
        path,
    )
    print(f"wrote {path}")
