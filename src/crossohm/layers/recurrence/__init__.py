"""Recurrent cells: their gates, and a step of time."""
