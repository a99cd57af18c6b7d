"""Analog layers of Flax."""
