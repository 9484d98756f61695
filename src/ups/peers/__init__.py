"""Models that people would use instead, trained by the same loop on the same data for the same time."""
