"""What is measured of a trained network beside its run: local response, symmetry, statistics of its samples."""
