"""Operations that take away what gpurig made, and nothing else."""
