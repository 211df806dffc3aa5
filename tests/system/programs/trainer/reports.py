"""How the trainer logs: a dict in Python's own words."""


def log(values):
    print(values)
