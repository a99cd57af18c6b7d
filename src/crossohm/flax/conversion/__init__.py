"""A whole model to analog layers and back, and what stands in the way."""
