"""Query strategies: what to label next, and how a batch is built.

Every strategy of the package is a module here with a frozen dataclass (``base.StrategyOption``) and
a file ``conf/strategy/NAME.yaml``. ``config.options`` finds them by their names.
"""
