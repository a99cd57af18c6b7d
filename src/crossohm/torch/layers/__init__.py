"""The analog layers, kind by kind."""
