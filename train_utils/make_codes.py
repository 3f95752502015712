"""Make item codes of several levels: `python -m train_utils.make_codes --data_path data/dataset/NAME/ ...`.

Cluster item vectors by residual k-means and write the codes into the dataset folder, in the files of RecLM-uni:
`NAME.index.json`, `NAME.item2id` and `NAME.emb-<vectors>.npy`. Training reads them with `--item_index rq_token_seq`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from train_utils.catalog import Catalog, load_catalog
from train_utils.command import run_cli
from train_utils.files.atomic import exclusively, replacing
from train_utils.item_codes import uni_paths, write_uni_index
from train_utils.models.code_quantizer import CodeReport, code_tokens, report_on, residual_codes, scaled
from train_utils.models.item_vectors import item_vectors
from train_utils.options import parse
from train_utils.param.items import CodeOptions
from train_utils.processes import pick_device
from train_utils.report.tables import aligned
from train_utils.teacher.local import LocalTeacher


def make_codes(options: CodeOptions) -> tuple[Path, CodeReport]:
    """Write the codes of a dataset and report on them.

    Returns:
        The path of the index, and the report.

    Raises:
        ValueError: the dataset is broken, the vectors cannot be made, or the folder has codes and `overwrite` is off.
    """
    catalog = load_catalog(options.data_path)
    index, item_ids = uni_paths(options.data_path, catalog.name)
    with exclusively(index):
        if index.exists() and not options.overwrite:
            raise ValueError(f"{index} exists; give `overwrite` to replace it")
        vectors = _vectors(options, catalog)
        centers = residual_codes(vectors, options.levels, options.size, options.seed)
        codes = code_tokens(centers, [item.id for item in catalog.items])
        # The index comes last: a killed command leaves a folder without codes, not one with files of two runs.
        index.unlink(missing_ok=True)
        if options.vectors != "text":  # those are saved with their recipe when they are encoded
            _save(vectors, _vectors_path(options.data_path, catalog, options.vectors))
        write_uni_index(codes, index, item_ids)
    return index, report_on(centers, options.size)


def _vectors(options: CodeOptions, catalog: Catalog) -> np.ndarray:
    """Return the item vectors that `--vectors` names, float32 [items, d].

    Raises:
        ValueError: the teacher is missing, elsewhere or of another catalog, or the encoder cannot be loaded.
    """
    kinds = []
    if options.vectors in ("teacher", "both"):
        if not options.teacher.startswith("local:"):
            raise ValueError(
                f"`teacher` is {options.teacher!r}, wanted local:PATH, such as local:unirec/output/{catalog.name}: "
                f"`vectors` {options.vectors} reads the teacher's item vectors"
            )
        teacher = LocalTeacher(options.teacher.removeprefix("local:"))
        kinds.append(teacher.item_vectors([item.id for item in catalog.items]))
    if options.vectors in ("text", "both"):
        path = _vectors_path(options.data_path, catalog, "text")
        device = str(pick_device(options.gpu))
        trust = options.trust_remote_code
        kinds.append(
            item_vectors(catalog, path, options.embedding_model, device, options.overwrite, trust_remote_code=trust)
        )
    return kinds[0] if len(kinds) == 1 else np.concatenate([scaled(vectors) for vectors in kinds], axis=1)


def _vectors_path(folder: str, catalog: Catalog, kind: str) -> Path:
    return Path(folder) / f"{catalog.name}.emb-{kind}.npy"


def _save(vectors: np.ndarray, path: Path) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, vectors, allow_pickle=False)


def lines_of(report: CodeReport) -> list[str]:
    """Format a report: two lines of totals, then a table with a line per level."""
    table = [("level", "tokens", "used", "entropy (bits)", "of at most")]
    table += [
        (use.letter, str(use.tokens), f"{use.used:.1%}", f"{use.entropy:.2f}", f"{np.log2(use.tokens):.2f}")
        for use in report.levels
    ]
    return [
        f"{report.items} items; {report.collisions:.1%} of them share their code before the last level",
        f"tokens of a code: {report.depth:.2f} on average, at most {report.longest}",
        aligned(table),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    index, report = make_codes(parse(CodeOptions, argv))
    print("\n".join(lines_of(report)))
    print(f"codes: {index}")


if __name__ == "__main__":
    run_cli(main)
