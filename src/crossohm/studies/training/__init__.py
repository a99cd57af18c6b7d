"""Studies of training: devices, arrays and rules compared by how networks learn on them."""
