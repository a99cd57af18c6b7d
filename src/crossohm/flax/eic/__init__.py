"""Networks built from cores of a fixed size, whose only non-linearity is a noisy comparator."""
