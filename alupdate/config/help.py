"""The answer to --help: every group and option with one line each, read from conf/."""

from pathlib import Path

from alupdate.utils.paths import conf_dir

GROUPS = (
    "dataset", "disturbance", "backbone", "strategy", "batch", "update", "posterior", "training",
    "task", "tracker", "annotator", "stop", "forecast", "experiment", "setting", "hydra/launcher",
)  # fmt: skip
HEAD = """\
alupdate: deep active learning with efficient Bayesian updates

usage: python -m alupdate.run [KEY=VALUE ...]          one run
       python -m alupdate.run -m [KEY=V1,V2,... ...]   one run per combination
       python -m alupdate.run tables|figures|report|areas|gather results/NAME   the results

examples:
  python -m alupdate.run strategy=lookahead
  python -m alupdate.run dataset=digits backbone=pixels batch=sequential seed=3
  python -m alupdate.run update=second_order update.gamma=3 update.compare=true
  python -m alupdate.run dataset=npz dataset.path=my.npz backbone=identity
  python -m alupdate.run dataset=imagefolder dataset.path=photos.zip
  python -m alupdate.run dataset=csv dataset.path=texts.csv backbone=minilm
  python -m alupdate.run task=describe dataset=digits backbone=pixels
  python -m alupdate.run task=updating dataset=digits backbone=pixels
  python -m alupdate.run -m strategy=random,margin,lookahead 'seed=range(5)'
"""
TAIL = """\
exit codes: 0 done or already done, 1 a run failed, 2 the command or its input is wrong,
130 interrupted. --cfg job shows the whole config of a command, --hydra-help Hydra's flags."""


def help_text() -> str:
    """Return the help, with the options that conf/ holds now."""
    conf = conf_dir()
    parts = [HEAD]
    for group in GROUPS:
        options = sorted((conf / group).rglob("*.yaml"))
        if options:
            names = [str(path.relative_to(conf / group).with_suffix("")) for path in options]
            width = max(20, *map(len, names))
            lines = [
                f"  {name:<{width}} {_first_comment(path)}"
                for name, path in zip(names, options, strict=True)
            ]
            parts.append("\n".join([f"{group}=", *lines, ""]))
    parts.append("\n".join(["keys:", *_keys(conf / "config.yaml"), ""]))
    return "\n".join([*parts, TAIL])


def _first_comment(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.startswith("# ") and not line.startswith("# @"):
                return line[2:].strip()
    return ""


def _keys(path: Path) -> list[str]:
    """Return the ``key: value # comment`` lines of the main config, with those of its groups.

    A group is a top-level key with nothing but a comment.
    """
    keys, group = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        name, separator, rest = line.partition(": ")
        is_group = rest.startswith("# ")
        if not line.startswith(" "):
            group = f"{name}." if is_group else ""
        key = f"{group}{name.removeprefix('  ')}" if group else name
        if separator and not is_group and key.replace(".", "").isidentifier():
            value, _, comment = rest.partition(" # ")
            keys.append(f"  {key + '=' + value:<24}  {comment}".rstrip())
    return keys
