"""Algorithms: which arrays hold a matrix of weights, and what an update writes where."""
