"""Imports and warms up what jobs need; the processes of jobs are forked from one that did this.

Importing this module takes seconds, and each process that is forked afterwards starts at once.
The forkserver of ``multiprocessing`` takes the name of a module to import, which ``worker`` gives
it. So this is a module of its own, however short.
"""

import importlib
import io

from matplotlib.figure import Figure

from alupdate.config.options import PACKAGES, options

PRELOADED = (
    "alupdate.experiment.active_learning",
    "alupdate.experiment.job",
    "alupdate.experiment.setup",
    "pandas",
    "scipy.stats",
    "sklearn.cluster",
    "sklearn.datasets",
    "sklearn.model_selection",
)

for module in PRELOADED:
    importlib.import_module(module)
for group in PACKAGES:
    options(group)

_figure = Figure()
_figure.subplots().set_title("fonts and image formats")
_figure.savefig(io.BytesIO(), format="png")
