"""EDM2 networks (arXiv:2312.02696): released snapshots read safely, networks of our own, sampling and analysis."""
