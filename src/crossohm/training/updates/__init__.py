"""Update models: what a write does to a device."""
