"""The resolver: settings and facts in, the stack with its reasons out; pure."""
