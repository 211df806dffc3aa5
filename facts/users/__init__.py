"""Facts about users."""
