"""Chips of fixed-size cores: what they are, which networks fit them, and what these cost."""
