"""Facts about NVIDIA's driver."""
