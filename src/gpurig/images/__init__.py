"""Container images with gpurig's environments."""
