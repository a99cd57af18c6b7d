"""Arrays that are trained: cells, weights on them, what their lines are driven and read with."""
