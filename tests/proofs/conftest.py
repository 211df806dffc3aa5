"""Proofs run by `gpurig verify`; they are not part of the project's own test suite."""
