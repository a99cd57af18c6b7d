"""Networks of Flax NNX on analog arrays, and networks built from cores of a fixed size."""
