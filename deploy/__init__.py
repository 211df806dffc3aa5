"""Deploy of gpurig."""
