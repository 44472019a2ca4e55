"""What the processes of jobs are forked from: everything that jobs import, and warmed up.

Importing this module takes seconds; every process that is forked afterwards starts at once.
"""

import importlib
import io

from matplotlib.figure import Figure

from alupdate.config.options import options

MODULES = (
    "alupdate.experiment.job",
    "alupdate.experiment.setup",
    "pandas",
    "scipy.stats",
    "sklearn.cluster",
    "sklearn.datasets",
    "sklearn.model_selection",
)

for name in MODULES:
    importlib.import_module(name)
options("dataset")

_figure = Figure()
_figure.subplots().set_title("fonts and image formats")
_figure.savefig(io.BytesIO(), format="png")
