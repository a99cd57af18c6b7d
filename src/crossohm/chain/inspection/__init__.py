"""Look into a core: what it does and why, its signals, its circuits."""
