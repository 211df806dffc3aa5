"""Which hosts there are, and how gpurig reaches them."""
