"""Measurements on any denoiser: derivatives along directions, and where along the noise information is decided."""
