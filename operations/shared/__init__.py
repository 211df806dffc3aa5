"""What operations of several layers share."""
