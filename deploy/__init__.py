"""The order of operations, layer by layer."""
