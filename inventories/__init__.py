"""Inventories of gpurig."""
