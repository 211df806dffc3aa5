"""What `gpurig remove` asks of a host: what is there of gpurig's, and how that shows."""
