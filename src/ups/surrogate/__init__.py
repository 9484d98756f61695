"""The trained surrogate as its users see it."""
