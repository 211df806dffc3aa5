"""Training programs that gpurig copies to hosts; each stands alone."""
