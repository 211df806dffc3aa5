"""Proofs of gpurig."""
