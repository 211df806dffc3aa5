"""Facts about Docker."""
