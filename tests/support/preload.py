"""What the server of processes has imported, whether a test or a sweep has started it."""

import importlib

for module in (
    "alupdate.run",
    "alupdate.data.arrays",
    "alupdate.sweep.preload",
    "matplotlib.backends.backend_pdf",
):
    importlib.import_module(module)
