"""`gpurig train`: existing engines started on all hosts at once, watched, and ended everywhere."""
