"""The resolver: what fits a host, from what is wanted and what is there; pure, with reasons."""
