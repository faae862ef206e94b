"""Reproduction targets: published or exact numbers, measured, that pass or fail."""
