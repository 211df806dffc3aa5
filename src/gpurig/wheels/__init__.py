"""What environments are made of: locks, wheels, Horovod's sources, data sets."""
