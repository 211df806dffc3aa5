"""Which engines start a training, and the environment that has each."""

DEFAULT_ENVIRONMENT = {"torchrun": "pytorch", "horovod": "horovod", "multiworker": "tensorflow"}
ENGINES = tuple(DEFAULT_ENVIRONMENT)
