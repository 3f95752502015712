"""Report on leakage of test targets: `python -m train_utils.leakage --data_path data/dataset/ml-100k/ ...`.

Search the training data of the model and of the teacher for held-out events, and probe whether the backbone has
memorized the dataset. The exit status is 1 if a held-out event is trained on.
"""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from train_utils.catalog import dataset_files, load_catalog
from train_utils.command import run_cli
from train_utils.files.atomic import write_json, writing_file
from train_utils.leakage.memorization import probe_next_items, probe_titles
from train_utils.leakage.split import count_split, count_teacher, read_teacher_data
from train_utils.manifest import manifest
from train_utils.models.backbone import model_files, with_dtype
from train_utils.models.trained import backbone_of, load_trained
from train_utils.options import option, parse
from train_utils.param.model import ModelOptions
from train_utils.processes import pick_device
from train_utils.unirec_folder import DATA_FILES

_TITLES = {
    "users": "users",
    "repeats": "events of an item that the user had before",
    "target_in_history": "targets in the history",
    "held_out_in_training": "held-out events in training sequences",
}


@dataclass(frozen=True, kw_only=True)
class LeakageOptions(ModelOptions):
    """Looks for what may give test targets away; exit status 1 where a held-out event is trained on."""

    data_path: str = option(help="dataset folder")
    model_name: str = option("", "base model that is probed for the dataset: a folder or a hub name; '' for none")
    backbone: str = option(
        "", "base model of an adapter, instead of the one that its configuration names", needs="model_name"
    )
    teacher_data: str = option(
        "", "UniRec folder that the teacher is trained on (unirec/data/NAME); '' for none", exists=True
    )
    probes: int = option(200, "titles, and users, that the base model is probed with", least=2)
    max_history: int = option(10, "events of a history that a test shows", least=1)
    seed: int = option(0, "seed of the draws, of the bootstrap and of the permutations", least=0)
    output: str = option("", "JSON file of the report; '' for none")


def report_of(options: LeakageOptions) -> dict:
    """Build the report: "manifest", "split" and, where requested, "teacher" and "memorization"."""
    options = with_dtype(options)
    catalog = load_catalog(options.data_path)
    report: dict[str, dict] = {"split": count_split(catalog, options.max_history)}
    inputs = dataset_files(options.data_path)
    if options.teacher_data:
        report["teacher"] = count_teacher(catalog, read_teacher_data(options.teacher_data))
        inputs += [Path(options.teacher_data) / name for name in DATA_FILES]
    if options.model_name:
        tokenizer, model = load_trained(
            options.model_name,
            pick_device(options.gpu),
            options.dtype,
            options.FA2,
            options.backbone,
            options.trust_remote_code,
        )
        report["memorization"] = {
            "titles": probe_titles(model, tokenizer, catalog, options.probes, options.seed),
            "next_items": probe_next_items(model, tokenizer, catalog, options.probes, options.seed),
        }
        inputs += model_files(options.model_name)
        if base := backbone_of(options.model_name, options.backbone):
            inputs += model_files(base)
    config = {
        name: value for name, value in asdict(options).items() if name not in ("gpu", "output", "trust_remote_code")
    }
    return {"manifest": manifest(config, inputs), **report}


def leaks_of(report: dict) -> list[str]:
    """Describe each leak: the number of held-out events and the data that holds them."""
    held_out = sum(report["split"]["held_out_in_training"].values())
    leaks = [f"{held_out} held-out events in the training sequences"] if held_out else []
    for name, counts in report.get("teacher", {}).items():
        leaks += [f"{n} {kind} events in the teacher's {name}.pkl" for kind, n in counts.items() if n]
    return leaks


def lines_of(report: dict) -> list[str]:
    """Format the report as an aligned table of two columns."""
    rows = [(_TITLES[name], _counted(counts)) for name, counts in report["split"].items()]
    rows += [
        (f"held-out events in the teacher's {name}.pkl", _counted(counts))
        for name, counts in report.get("teacher", {}).items()
    ]
    for name, what in (("titles", "title halves, own - shuffled"), ("next_items", "next title, own - others' history")):
        if probe := report.get("memorization", {}).get(name):
            low, high = probe["ci"]
            rows.append(
                (
                    f"{what} (nats)",
                    f"{probe['difference']:+.3f} [{low:+.3f}, {high:+.3f}]  p {probe['p']:.4f}  "
                    f"({probe['true']:.2f} against {probe['control']:.2f}, {probe['probes']})",
                )
            )
            if name == "titles":
                rows.append(
                    (
                        "title halves completed by greedy decoding",
                        f"{probe['completed']:.1%}, shuffled {probe['completed_control']:.1%}",
                    )
                )
    width = max(len(name) for name, _ in rows)
    return [f"{name.ljust(width)}  {value}" for name, value in rows]


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind.replace('_', ' ')} {n}" for kind, n in counts.items())


def _is_report(value: object) -> bool:
    return isinstance(value, dict) and {"manifest", "split"} <= value.keys()


def main(argv: Sequence[str] | None = None) -> None:
    options = parse(LeakageOptions, argv)
    with writing_file(options.output, "output", _is_report) if options.output else nullcontext():
        report = report_of(options)
        print("\n".join(lines_of(report)))
        if options.output:
            write_json(options.output, report)
    if options.output:
        print(f"report: {options.output}")
    if leaks := leaks_of(report):
        print(f"leak: {'; '.join(leaks)}; preprocess again, and train again what was trained on it", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run_cli(main)
