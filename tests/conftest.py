"""Tests run on one thread: their models are tiny, and threads that wait for each other are slower than one.

None is judged by its time, by Hypothesis neither: the machine may be busy.
"""

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
