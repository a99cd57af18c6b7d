"""Matrices of a layer in arrays: held, followed, multiplied with, differentiated, saved."""
