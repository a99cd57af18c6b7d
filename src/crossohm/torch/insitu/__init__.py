"""Layers that are trained on their own devices: reads forward and back, and writes, on the same cells."""
