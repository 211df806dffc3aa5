"""What cannot exist on a lab host, written by us: NVML, and NVIDIA's container toolkit."""
