"""What hardware takes: arrays, cells, operations."""
