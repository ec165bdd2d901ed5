"""What is measured of a network beside its run: derivatives, local response, symmetry, information, its samples."""
