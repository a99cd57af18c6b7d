"""Units of a study: planned, computed, in this process or in others."""
