"""Operations of gpurig."""
