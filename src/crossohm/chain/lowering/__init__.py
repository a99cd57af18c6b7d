"""Choose, once, the cheapest exact chain of stages for what is programmed."""
