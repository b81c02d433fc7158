"""Seeds that hold whatever else the process does."""

from __future__ import annotations

import random


def seed_everything(seed: int) -> None:
    """Seed weights, dropout and shuffling of the next model.

    Keras gives each layer a seed from Python's shared random state. In a worker process other threads, such as those
    of the network, draw from that state too, now and then between two layers; so Keras gets a state of its own here,
    which gives the same seeds as the shared one would give undisturbed.
    """
    import keras
    from keras.src.random import seed_generator  # keras has no public place to hand in a state

    keras.utils.set_random_seed(seed)
    seed_generator.python_random = random.Random(seed)
