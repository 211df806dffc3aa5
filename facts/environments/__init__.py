"""Facts about Python environments."""
