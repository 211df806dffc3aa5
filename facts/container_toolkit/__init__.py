"""Facts about NVIDIA's container toolkit."""
