"""
What each framework is asked, in a file of its name: run by an environment's own Python on the host.

``look(told, base)`` computes on every device and answers the framework's version; on a base, the
base's own was asked first. It fills in ``told``:

+ ``computed``: by device, what it computed there; ``wanted``: what that must be, if it is no
  product of ones and a convolution
+ ``cuda``: whether its build has CUDA; ``architectures``: what the build has code for, ``sm_80``,
  where it says so; ``gpus``: those that it sees, with name and capability

Nothing of gpurig is there, and only that framework is: each file stands alone.
"""
