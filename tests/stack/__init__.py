"""The resolver's tests."""
