"""gpurig as a person runs it, against booted hosts."""
