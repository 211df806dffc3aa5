"""Facts about kernels and their boot loader."""
