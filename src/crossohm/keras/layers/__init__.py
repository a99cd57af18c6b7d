"""The analog layers of Keras."""
