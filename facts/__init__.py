"""Facts of gpurig."""
