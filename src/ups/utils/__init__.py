"""Modules under the names of the original description; what they hold lives in `ups.tracking`."""
