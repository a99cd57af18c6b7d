"""Networks of Keras."""
