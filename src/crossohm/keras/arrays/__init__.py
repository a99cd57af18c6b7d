"""How Keras holds a matrix in arrays: on the host, and as variables of compiled functions."""
