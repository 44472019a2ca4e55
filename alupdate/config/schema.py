"""The schema of a run: the groups whose options are plain settings, and the whole config.

Types, ranges and defaults of the groups ``batch``, ``update``, ``posterior``, ``training``,
``task`` and ``tracker``. Those of data sets, backbones and strategies are with their code: see
``options``.
"""

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from alupdate.config.annotators import AnnotatorConfig, TruthAnnotator
from alupdate.config.extraction import ExtractionConfig
from alupdate.config.forecasts import ForecastConfig, NoForecast
from alupdate.config.stop import NoStop, StopConfig
from alupdate.config.values import (
    SETTINGS,
    Count,
    DeviceName,
    Flag,
    FolderName,
    LikelihoodName,
    Natural,
    PathText,
    Port,
    Positive,
    Seconds,
    StepSize,
    Text,
    Threads,
    UpdateName,
    UpdateOrRetrain,
    WebAddress,
)
from alupdate.laplace.names import GAUSSIAN, MAP, SECOND_ORDER, Predictive
from alupdate.utils.files import safe_name
from alupdate.utils.paths import expanded


@dataclass(frozen=True, config=SETTINGS)
class TopBatch:
    """Pick the whole batch at once.

    Attributes:
        asks_after: no labels are acquired before the whole batch is chosen.
    """

    name: Literal["top_b"]
    asks_after: ClassVar[None] = None
    size: Count = 10


@dataclass(frozen=True, config=SETTINGS)
class PowerBatch:
    """Draw the whole batch at random, in proportion to a power of the scores.

    Attributes:
        asks_after: no labels are acquired before the whole batch is chosen.
        beta: the exponent: near 0 the draw is uniform, and a large one takes the highest scores.
        variant: powers of the scores, of their exponentials, or of the inverses of their ranks.
    """

    name: Literal["power"]
    asks_after: ClassVar[None] = None
    size: Count = 10
    beta: Positive = 1.0
    variant: Literal["power", "softmax", "softrank"] = "power"


@dataclass(frozen=True, config=SETTINGS)
class SequentialBatch:
    """Pick ``every`` instances, update the model with their labels, and pick the next.

    Attributes:
        every: picks between updates.
        update: the update rule.
        labels: acquired from the annotator; or, for a whole batch before anybody is asked, sampled
            from the current predictive, or the most probable ones.
        n_samples: how many label samples the utilities are averaged over.
    """

    name: Literal["sequential"]
    size: Count = 10
    every: Count = 1
    update: UpdateName = SECOND_ORDER
    labels: Literal["acquired", "sampled", "predicted"] = "acquired"
    n_samples: Count = 1

    @property
    def asks_after(self) -> int | None:
        """After how many picks labels are acquired; None where the whole batch comes first."""
        return self.every if self.labels == "acquired" else None

    @property
    def label(self) -> str | None:
        """How tables and figures call it; None for its name."""
        return None if self.labels == "acquired" else f"{self.name}_{self.labels}"


BatchConfig = Annotated[TopBatch | PowerBatch | SequentialBatch, Field(discriminator="name")]


@dataclass(frozen=True, config=SETTINGS)
class UpdateConfig:
    """How the model learns from an acquired batch, and the settings of every hypothetical update.

    Attributes:
        name: ``retrain``, or an update rule.
        gamma: step size of updates; ``auto`` for repeated hold-out validation on the labels.
        n_hypotheses: of the Monte-Carlo update.
        retrain_every: with an update rule, retrain in every k-th cycle all the same.
        compare: whether the other way of learning runs on the side.
        compare_with: where the model is retrained, the update to compare with.
    """

    name: UpdateOrRetrain
    gamma: StepSize = 10.0
    n_hypotheses: Count = 10_000
    retrain_every: Count | None = None
    compare: Flag = False
    compare_with: UpdateName = SECOND_ORDER


@dataclass(frozen=True, config=SETTINGS)
class PosteriorConfig:
    """The Laplace posterior over the weights of the last layer.

    Attributes:
        likelihood: the curvature that an observation adds to the precision.
        prior_precision: of the Gaussian prior.
        predictive: how test predictions use the posterior.
    """

    likelihood: LikelihoodName = GAUSSIAN
    prior_precision: Positive = 1.0
    predictive: Predictive = MAP


@dataclass(frozen=True, config=SETTINGS)
class TrainingConfig:
    """How the model is trained on all labels.

    Attributes:
        solver: the paper's recipe, or L-BFGS to the exact optimum of a linear layer.
        learning_rate, weight_decay, epochs, minibatch: of the recipe; weight decay of both.
    """

    solver: Literal["recipe", "lbfgs"] = "recipe"
    learning_rate: Positive = 0.01
    weight_decay: Positive = 1e-4
    epochs: Count = 200
    minibatch: Count = 64


@dataclass(frozen=True, config=SETTINGS)
class ActiveLearningTask:
    """The cycle: select, label, learn, evaluate, record."""

    name: Literal["active_learning"]


@dataclass(frozen=True, config=SETTINGS)
class MethodConfig:
    """One update rule with its posterior, at each of several step sizes."""

    update: UpdateName
    gammas: Annotated[tuple[StepSize, ...], Field(min_length=1)]
    likelihood: LikelihoodName = GAUSSIAN
    prior_precision: Positive = 1.0


@dataclass(frozen=True, config=SETTINGS)
class UpdatingTask:
    """A base model on n_initial labels; n_new more by each update rule, and by retraining."""

    name: Literal["updating"]
    initial_sizes: Annotated[tuple[Count, ...], Field(min_length=1)]
    new_sizes: Annotated[tuple[Count, ...], Field(min_length=1)]
    methods: Annotated[tuple[MethodConfig, ...], Field(min_length=1)]


@dataclass(frozen=True, config=SETTINGS)
class DescribeTask:
    """A card of the data, and how well a linear layer on all of the pool does.

    ``weight_decay`` is the probe's: of the mean loss over the pool.
    """

    name: Literal["describe"]
    weight_decay: Positive = 1e-2


@dataclass(frozen=True, config=SETTINGS)
class FeaturesTask:
    """Extract the features and keep them, ahead of a sweep."""

    name: Literal["features"]


@dataclass(frozen=True, config=SETTINGS)
class StatusTask:
    """How the runs of an experiment stand."""

    name: Literal["status"]


@dataclass(frozen=True, config=SETTINGS)
class RerunTask:
    """Run the failed runs of an experiment again."""

    name: Literal["rerun"]


@dataclass(frozen=True, config=SETTINGS)
class SuggestTask:
    """The next batch of a pool that people label: learn from all labels, choose, write files.

    Attributes:
        answers: a file of labels that is added to the labels file first; None for batch.csv.
        format: ``labelstudio`` also writes tasks and a configuration for Label Studio.
    """

    name: Literal["suggest"]
    answers: PathText | None = None
    format: Literal["csv", "labelstudio"] = "csv"


@dataclass(frozen=True, config=SETTINGS)
class LabelTask:
    """Labelling in the terminal: show an instance, take its label, update, show the next.

    Attributes:
        viewer: the program that shows image files; ``auto`` for the system's, ``none`` for none.
    """

    name: Literal["label"]
    viewer: Text = "auto"


@dataclass(frozen=True, config=SETTINGS)
class PredictTask:
    """Predictions of a saved model for any instances."""

    name: Literal["predict"]


@dataclass(frozen=True, config=SETTINGS)
class ServeTask:
    """Labelling in Label Studio: every annotation there updates the model that chooses the next.

    Attributes:
        host, port: where this program listens for Label Studio.
        public_url: the address of this program for Label Studio; None for host and port.
        token: what requests must carry; ``$NAME`` for an environment variable. None for none,
            which only ``host=127.0.0.1`` allows.
        every: seconds between two looks for annotations that nobody announced.
    """

    name: Literal["serve"]
    host: Text = "127.0.0.1"
    port: Port = 9090
    public_url: WebAddress | None = None
    token: Text | None = None
    every: Seconds = 5.0


@dataclass(frozen=True, config=SETTINGS)
class LabelStudioConfig:
    """Label Studio, where people label what ``task=serve`` chooses.

    Attributes:
        url: of its first page.
        token: of the user on whose behalf it is asked; ``$NAME`` for an environment variable, None
            for ``$LABEL_STUDIO_API_KEY``.
        project: its number; None for a new one.
        document_root: the folder that it serves files of; None for
            ``$LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT``, or else the folder that holds the data.
    """

    url: WebAddress = "http://127.0.0.1:8080"
    token: Text | None = None
    project: Count | None = None
    document_root: PathText | None = None


TaskConfig = Annotated[
    ActiveLearningTask
    | UpdatingTask
    | DescribeTask
    | FeaturesTask
    | StatusTask
    | RerunTask
    | SuggestTask
    | LabelTask
    | ServeTask
    | PredictTask,
    Field(discriminator="name"),
]


URI = re.compile(
    r"databricks(://\S+)?|(https?|(postgresql|mysql|mssql)(\+\w+)?)://\S+|"
    r"sqlite(\+\w+)?:///(?!:memory:)\S+"
)


def _mlflow_uri(value: str) -> str:
    if URI.fullmatch(value):
        scheme, separator, place = value.partition(":///")
        return f"{scheme}{separator}{expanded(place)}"
    raise ValueError("must be a URI of MLflow, such as http://localhost:5000 or sqlite:///runs.db")


@dataclass(frozen=True, config=SETTINGS)
class NoTracker:
    """CSV files only; every run writes them, whatever the tracker."""

    name: Literal["none"] = "none"


@dataclass(frozen=True, config=SETTINGS)
class MlflowTracker:
    """MLflow; without ``uri`` in the file ``mlflow.db`` of results_dir."""

    name: Literal["mlflow"]
    uri: Annotated[Text, AfterValidator(_mlflow_uri)] | None = None


@dataclass(frozen=True, config=SETTINGS)
class TensorboardTracker:
    """TensorBoard, in the folder ``tensorboard`` of the run."""

    name: Literal["tensorboard"]


TrackerConfig = Annotated[
    NoTracker | MlflowTracker | TensorboardTracker, Field(discriminator="name")
]


if TYPE_CHECKING:
    from alupdate.data.dataset import DatasetOption
    from alupdate.models.features import Backbone
    from alupdate.strategies.base import StrategyOption
else:  # the schema of an option is checked where it is made; its module needs PyTorch
    DatasetOption = Backbone = StrategyOption = Any


@dataclass(frozen=True, config=SETTINGS)
class RunConfig:
    """One run: everything that decides its learning curve, and where and how to run it."""

    dataset: DatasetOption
    backbone: Backbone
    strategy: StrategyOption
    batch: BatchConfig
    posterior: PosteriorConfig
    training: TrainingConfig
    update: UpdateConfig
    task: TaskConfig
    tracker: TrackerConfig = NoTracker()
    annotator: AnnotatorConfig = TruthAnnotator()
    stop: StopConfig = NoStop()
    labelstudio: LabelStudioConfig = LabelStudioConfig()
    forecast: ForecastConfig = NoForecast()
    extraction: ExtractionConfig = ExtractionConfig()
    seed: Natural = 0
    n_initial: Natural = 10
    initial: Literal["random", "kmeans", "typiclust", "coverage", "maxherding"] = "random"
    n_cycles: Natural = 20
    subset: Count | None = 1000
    force: Flag = False
    max_failures: Count | None = 3
    allow_plugins: Flag = False
    keep_model: Flag | None = None
    calibrate: Flag = False
    model: PathText | None = None
    results_dir: PathText = "results"
    experiment_name: FolderName = "default"
    experiment_dir: PathText | None = None
    cache_dir: PathText | None = None
    device: DeviceName = "auto"
    threads: Threads | None = None
    progress: Flag = True


PLACES = frozenset({"results_dir", "experiment_name", "experiment_dir"})
"""Top-level keys that say where results are."""
HOW_TO_RUN = PLACES | {
    "tracker",
    "labelstudio",
    "extraction",
    "force",
    "allow_plugins",
    "keep_model",
    "calibrate",
    "model",
    "cache_dir",
    "max_failures",
    "device",
    "threads",
    "progress",
}
"""Top-level keys that say where and how to run, and so do not change what a run computes."""


def display_name(group: Any) -> str:
    """Return how a configured option is called in tables and figures: its label, or its name."""
    shown = getattr(group, "display_name", None) or getattr(group, "label", None)
    return str(shown or group.name)


def run_prefix(config: RunConfig) -> str:
    """Return the readable part of a run's directory name."""
    groups: tuple[Any, ...] = (config.dataset, config.backbone)
    if isinstance(config.task, UpdatingTask):
        groups += (config.task,)
    else:
        groups += (config.strategy, config.batch, config.update)
        if not isinstance(config.annotator, TruthAnnotator):
            groups += (config.annotator,)
    name = "-".join(display_name(group) for group in groups)
    return f"{safe_name(name)}-s{config.seed}"
