"""Training on arrays: every weight update is a physical write whose outcome depends on the device."""
