"""Whether it works: pytest with testinfra against one host."""
