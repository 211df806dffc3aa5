"""
A small lab: two machines with GPUs, one without, and every setting there is.

Copy it and put your own hosts in. It is a pyinfra inventory: a list is a group of hosts, a tuple
gives a host or a group its data. Data of a host wins over data of its group, and that wins over
data of ``all``. A setting that is commented out shows its default, unless its comment calls it an
example. Try it with ``gpurig plan inventories/lab.py``.
"""

# Two equal machines. Keys that begin with ssh_ are pyinfra's; gpurig also reads ~/.ssh/config.
gpus = (
    [
        ("gpu01", {"ssh_hostname": "gpu01.example.com"}),
        ("gpu02", {"ssh_hostname": "gpu02.example.com", "ssh_port": 22}),
    ],
    {
        # The NVIDIA driver. An installed one that fits stays, even if the default is another.
        # "rig_driver_branch": "auto",  # or "550"
        # "rig_driver_flavour": "auto",  # or "open", "proprietary"
        # "rig_driver_source": "auto",  # or "distribution", "nvidia"; "none" leaves it alone
        # "rig_boot_kernel": "newest",  # or "with-driver": the newest that has the module
        # Which GPUs are for this: PCI ids, slots or names; all, if unset.
        # "rig_gpus": ["RTX 4090"],  # an example
        # Where there is no GPU yet, for example to bake an image: one PCI id for each GPU.
        # "rig_assume_gpu": ["10de:2330"],  # an example
        # Whether to reboot when only a reboot helps: ask (on a terminal), never, if-needed.
        "rig_reboot": "if-needed",
    },
)

# A machine without a GPU gets the same, without the driver, the toolkit and CUDA.
cpus = [
    (
        "cpu01",
        {
            "ssh_hostname": "cpu01.example.com",
            # "rig_components": ["docker", "environments"],  # an example; unset: all that fit
        },
    ),
]

# Settings of all hosts.
all = (  # pyinfra reads the group of this name
    ["gpu01", "gpu02", "cpu01"],
    {
        "ssh_user": "ada",  # with sudo; keep its password out of this file: os.environ[…]
        # Users who may use Docker. Workloads run as the first of them, else as the user gpurig.
        "rig_users": ["ada"],
        # Python environments, one for each framework, below rig_venv_root.
        # "rig_frameworks": ["tensorflow", "pytorch==2.15.*", "keras[jax]"],  # an example
        # "rig_accelerator": "auto",  # or "cpu", "cuda"
        # "rig_python": "auto",  # the distribution's
        # "rig_venv_root": "/opt/gpurig/venvs",
        # "rig_keep_extras": True,  # False: gpurig removes packages added by hand
        # "rig_jupyter": False,  # True: each is a Jupyter kernel
        # What to train as a proof; also your own program, with its environment.
        # "rig_workloads": ["mnist_keras", "pytorch:/srv/programs/train.py"],  # an example
        # "rig_cuda": "wheels",  # or "system" (with nvcc), or a version: "12.8"
        # "rig_cudnn": "wheels",  # or "system"
        # Docker, and keys of its daemon.json. Other keys stay as they are.
        # "rig_docker_source": "auto",  # or "distribution", "docker" (Docker CE)
        # "rig_docker_rootless": False,  # True: a Docker without root for each of rig_users
        # "rig_container_toolkit": "auto",  # or a version: "1.19.1"
        "rig_docker_daemon": {
            "log-driver": "local",
            "log-opts": {"max-size": "10m", "max-file": "3"},
        },
        # Container images as gpurig/NAME: built on the host, or a saved one of this machine.
        # "rig_images": ["tensorflow", "/srv/images/lab.tar"],  # an example
        # "rig_base_image": "python:3.13-slim",  # an example; unset: python:…-slim
        # Where gpurig downloads from. All are examples: by default none is set.
        # "rig_apt_mirror": "http://mirror.example.com/debian",
        # "rig_pypi_index": "https://pypi.example.com/simple/",
        # "rig_data_mirror": "/srv/mnist",
        # "rig_proxy": "http://proxy.example.com:3128",  # secret; shown nowhere
        # "rig_repositories": {
        #     "nvidia-container-toolkit": {"url": "https://mirror.example.com/toolkit"},
        #     "nvidia": {"url": "https://mirror.example.com/cuda/repos"},
        #     "docker": {"url": "https://mirror.example.com/docker"},
        #     "pytorch": {"url": "https://mirror.example.com/pytorch"},  # wheels for the CPU
        #     "python": {"url": "https://mirror.example.com/python-build-standalone"},
        # },
        # A folder of the machine that runs gpurig; unset: one in ~/.cache/gpurig.
        # "rig_cache": "/srv/cache",  # an example
        # Tables of your own, and releases that are in none.
        # "rig_tables": "/srv/gpurig/tables",  # an example; unset: what tables refresh wrote
        # "rig_untested": False,  # True: also releases that no table has
        # "rig_limits": {"command": 14400},  # an example: seconds without output
    },
)
