"""Products in a module's own code, with matrices computed from parameters: found, put onto arrays, and led there."""
