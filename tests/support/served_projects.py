"""``task=serve`` on a small pool, with a Label Studio in memory."""

from dataclasses import replace

from alupdate.config.compose import compose_config
from alupdate.labelling.campaign import locked_folder
from alupdate.labelstudio.serve import Service
from alupdate.utils.display import Display
from tests.support.fake_label_studio import CLASSES

QUIET = Display(enabled=False)
SMALL = [
    "dataset=imagefolder", "backbone=pixels", "batch=sequential", "strategy=margin",
    "update=second_order", "n_initial=6", "batch.size=4", "progress=false",
]  # fmt: skip


def config_of(*more):
    classes = f"dataset.classes=[{','.join(CLASSES)}]"
    return compose_config(["task=serve", "dataset.path=photos", classes, *SMALL, *more])


def service_of(studio, *more, project=None):
    config = config_of(*more)
    settings = replace(config.labelstudio, project=project)
    with locked_folder(config) as folder:
        service = Service.of(config, settings, studio.client(), folder, QUIET)
    service.live.catch_up(everything=True)
    return service


def label_next(studio, service, truth, count):
    """Label the task that is served first, ``count`` times; return the instances."""
    served = []
    for _ in range(count):
        task = studio.queue(service.claim.project)[0]
        name = task["data"]["instance"]
        studio.annotate(task, truth[name])
        assert service.live.catch_up()
        served.append(name)
    return served
