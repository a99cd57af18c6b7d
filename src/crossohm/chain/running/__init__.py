"""What happens to inputs: the lowered stages, with every number worked out."""
