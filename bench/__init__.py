"""Benchmarks of fastpatch, run from the repository's root.

    calibration, machine     the yardstick of every timing, and what the timing was taken on
    test_*, measure, cases   the pytest-benchmark suite
    suite, results, run      one run of it as records, a table and a dated file
    baseline, check          its regression tracking
    publish                  its records for the history that continuous integration keeps
    peers, peer_steps, plot  the same step in NumPy, torch and JAX, and the picture of it
    peaks, roofline          what this machine could do, and how far each stage of the step is from that

Not part of the installed package.
"""
