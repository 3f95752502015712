"""The rules of the house, read from the files: what may import what, control tokens, paths, shell."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PLAIN = {
    "command", "characters", "printable", "dataset_folder", "teacher_address", "model_folder",
    "feed_files", "feed_fields",
    "files.atomic", "files.text_files", "files.json_files", "files.tokenizer_file", "files.plain_pickle",
    "files.pickle_reader", "files.pickle_limits",
}  # fmt: skip
# Readers of files that the library and the stage folders share, and pages of reports; they need NumPy, torch or
# matplotlib besides.
READERS = {"files.array_files", "files.torch_file", "unirec_folder", "item_record", "drawing"}
# The teacher's arithmetic, which the server and the teacher inside a process share.
SHARED_BY_TEACHERS = {"train_utils.teacher.checkpoint", "train_utils.teacher.inference", "train_utils.teacher.ranking"}
# Limits that every HTTP server of the project applies, the teacher's too.
SHARED_BY_SERVERS = {f"train_utils.serving.{name}" for name in ("http_limits", "http_protocol", "listener")}
# A folder of one machine. After a letter, a dot, a slash or a brace it is part of something longer.
MACHINE_PATH = re.compile(r"(?<![\w.:/~}$-])/(?:home|root|Users|mnt|media|work|tmp|opt|srv)/\w")


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).glob("*.py"))


def library_modules() -> list[Path]:
    return sorted(path for path in (ROOT / "train_utils").rglob("*.py") if path.stem != "__init__")


def files_of_the_repository() -> list[Path]:
    """Tracked files, and new ones that git does not ignore."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files belong to the project is unknown")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    paths = (ROOT / name for name in sorted(set(listing.stdout.split("\0"))))
    return [path for path in paths if path.is_file()]


def shell_scripts() -> list[Path]:
    return sorted(path for path in (*ROOT.glob("scripts/*.sh"), ROOT / ".ci" / "run") if path.is_file())


def type_checking_only(tree: ast.Module) -> set[ast.AST]:
    """Nodes below `if TYPE_CHECKING:`; they never run."""
    guards = (n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test).endswith("TYPE_CHECKING"))
    return {inner for guard in guards for statement in guard.body for inner in ast.walk(statement)}


def imported(source: str, package: str | None = None) -> Iterator[str]:
    """Dotted names that running the source can import, inside functions too.

    `from a import b` gives "a.b"; a relative import is put below `package`.
    """
    tree = ast.parse(source)
    never_run = type_checking_only(tree)
    for node in ast.walk(tree):
        if node in never_run:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, [package if node.level else None, node.module]))
            yield from (f"{base}.{alias.name}" for alias in node.names)


def is_one_of(modules: set[str], name: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def siblings(path: Path) -> set[str]:
    """Modules and packages of train_utils/ that the file imports, of files/ its modules; in unirec/ without those it
    shares."""
    names = imported(path.read_text(encoding="utf-8"), package="train_utils")
    is_teacher = path.parent.name == "unirec"
    return {
        ".".join(name.split(".")[1 : 3 if name.startswith("train_utils.files.") else 2])
        for name in names
        if name.startswith("train_utils.")
        and not (is_teacher and is_one_of(SHARED_BY_TEACHERS | SHARED_BY_SERVERS, name))
    }


def roots(path: Path, package: str | None = None) -> set[str]:
    """First parts of the names that the file imports."""
    return {name.split(".")[0] for name in imported(path.read_text(encoding="utf-8"), package)}


def changing_parameters(source: str) -> Iterator[str]:
    """Calls in the decorators of tests whose result is another one in each process.

    pytest-xdist refuses to run tests whose parameters, and so their names, differ between its workers.
    """
    changing = ("time.", "datetime.now", "uuid.", "os.getpid", "random.random", "tempfile.")
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    calls = (
        node
        for function in functions
        for decorator in function.decorator_list
        for node in ast.walk(decorator)
        if isinstance(node, ast.Call)
    )
    for call in calls:
        name = ast.unparse(call.func)
        stamped = name == "gzip.compress" and "mtime" not in {keyword.arg for keyword in call.keywords}
        if stamped or name.startswith(changing) or name in ("id", "hash"):
            yield ast.unparse(call)


def spelled(source: str) -> Iterator[str]:
    """String constants in the code, f-strings' parts too, without docstrings (bare string statements)."""
    tree = ast.parse(source)
    bare = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in bare:
            yield node.value


library = pytest.mark.parametrize("path", library_modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
stage_files = pytest.mark.parametrize(
    "path", modules("preprocess") + modules("unirec"), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
scripts = pytest.mark.parametrize("path", shell_scripts(), ids=lambda path: path.name)


def test_the_reader_sees_every_kind_of_import():
    source = """
import a.b
from typing import TYPE_CHECKING
from . import c
from .d import e
if TYPE_CHECKING:
    import torch
def f():
    import httpx
"""
    assert set(imported(source, "p")) == {"a.b", "typing.TYPE_CHECKING", "p.c", "p.d.e", "httpx"}


def test_the_reader_leaves_docstrings_out_but_not_f_strings():
    assert list(spelled('"""doc"""\nx = f"a{1}b"  # comment\ndef f():\n    "doc"\n    return "c"')) == [
        "a",
        "b",
        "c",
    ]


def test_a_machine_path_is_told_from_a_web_address():
    folder = "/home" + "/someone"
    assert MACHINE_PATH.search(f"read {folder}")
    assert MACHINE_PATH.search(f'"{folder}"')
    assert not MACHINE_PATH.search(f"https://example.org{folder} data{folder} ${{ROOT}}{folder}")


def test_the_package_itself_imports_nothing_heavy():
    """`import train_utils` costs nothing: what it offers is loaded when it is asked for."""
    code = "import sys, train_utils; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"torch", "transformers", "numpy"} & set(loaded.split())


@stage_files
def test_stage_folders_import_what_is_plain_of_the_library_alone(path):
    assert siblings(path) <= PLAIN | READERS
    assert not roots(path) & {"preprocess", "main", "task_test", "task_MR_test", "cli_serve"}


def test_the_rest_of_the_teacher_stays_out_of_its_server(tmp_path):
    source = """
import train_utils.teacher.ranking
from train_utils.teacher.inference import NextItemModel
from train_utils.teacher.{} import x
"""
    for folder in ("unirec", "preprocess"):
        (tmp_path / folder).mkdir()
        for module, kept in (("ranking", set()), ("local", {"teacher"}), ("inference_of_others", {"teacher"})):
            path = tmp_path / folder / f"{module}.py"
            path.write_text(source.format(module))
            assert siblings(path) == (kept if folder == "unirec" else {"teacher"})


@pytest.mark.parametrize("name", sorted(SHARED_BY_TEACHERS))
def test_what_the_teachers_share_needs_little_of_the_library(name):
    path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    names = imported(path.read_text(encoding="utf-8"))
    library = {
        module for module in names if module.startswith("train_utils.") and not is_one_of(SHARED_BY_TEACHERS, module)
    }
    assert {module.rpartition(".")[0] for module in library} <= {
        "train_utils.teacher.protocol", *(f"train_utils.{shared}" for shared in PLAIN | READERS),
    }  # fmt: skip


def test_what_servers_share_needs_nothing_of_a_server_but_uvicorn_for_its_connections():
    for name in SHARED_BY_SERVERS:
        path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
        library = {module for module in imported(path.read_text(encoding="utf-8")) if module.startswith("train_utils.")}
        assert all(is_one_of(SHARED_BY_SERVERS, module) for module in library)
        outside = roots(path) - {"train_utils", *sys.stdlib_module_names}
        assert outside == ({"uvicorn"} if name.endswith("http_protocol") else set())


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_what_stage_folders_share_needs_the_standard_library_alone(name):
    path = ROOT.joinpath("train_utils", *name.split(".")).with_suffix(".py")
    assert siblings(path) <= PLAIN
    assert roots(path) <= {"train_utils", *sys.stdlib_module_names}


@library
def test_the_library_does_not_import_stage_folders(path):
    files = {file.stem for file in modules("preprocess") + modules("unirec")}
    assert not roots(path, "train_utils") & {"preprocess", "scripts", *files}


@stage_files
def test_stage_files_shadow_no_standard_module(path):
    assert path.stem not in sys.stdlib_module_names


def test_unirec_folder_does_not_hide_the_installed_library():
    assert not (ROOT / "unirec" / "__init__.py").exists()


def test_the_architecture_names_every_module_of_a_package():
    rows = re.findall(r"^\| `(\w+)/` \| (.*) \|$", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    named = {package: set(re.findall(r"`(\w+)/?`", text)) for package, text in rows}
    packages = {path.parent.name for path in ROOT.glob("train_utils/*/__init__.py")}
    assert named.keys() == packages
    for package, names in named.items():
        missing = {path.stem for path in modules(f"train_utils/{package}")} - names - {"__init__", "__main__"}
        assert not missing, f"docs/architecture.md lacks modules of {package}/"


@library
def test_one_module_spells_the_control_tokens(path):
    if path.stem != "control_tokens":
        actual = [text for text in spelled(path.read_text(encoding="utf-8")) if re.search("<[SE]OI>", text)]
        assert not actual, f"{path.name} spells a control token; take it from control_tokens.py"


def test_no_file_names_a_folder_of_one_machine():
    actual = []
    for path in files_of_the_repository():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:  # not a text file
            continue
        actual += [f"{path.relative_to(ROOT)}:{n}" for n, line in enumerate(lines, 1) if MACHINE_PATH.search(line)]
    assert not actual


@scripts
def test_shell_script_parses(path):
    checked = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


@scripts
def test_shell_script_stops_at_the_first_error(path):
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    assert first == "set -euo pipefail"


def requirements(name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield `package==version` and the digests of each requirement of a file."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in filter(None, (line.split("#")[0].strip() for line in text.splitlines())):
        requirement, *digests = line.split()
        yield requirement, digests


def pins(*names: str) -> dict[str, str]:
    named = (requirement.split("==") for name in names for requirement, _ in requirements(name))
    return {re.sub(r"[-_.]+", "-", name.lower()): version for name, version in named}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-unirec.txt"])
def test_every_package_but_torch_is_pinned_with_its_digests(name):
    listed = list(requirements(name))
    assert listed and "torch" not in pins(name) and pins("requirements-torch.txt").keys() == {"torch"}
    for requirement, digests in listed:
        assert digests and all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", digest) for digest in digests), requirement


def test_the_lock_holds_what_the_requirements_pin():
    lock, expected = pins("requirements.lock", "requirements-torch.txt"), pins("requirements.txt")
    assert {name: lock.get(name) for name in expected} == expected


def test_the_lock_fits_the_ranges_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ranges = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    lock = pins("requirements.lock", "requirements-torch.txt")
    for requirement in map(Requirement, ranges):
        assert requirement.specifier.contains(lock[re.sub(r"[-_.]+", "-", requirement.name.lower())]), requirement


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_benchmarks_find_their_siblings_wherever_they_are_called_from(path):
    """Their folder is no package: only the folder of the script that runs is on the path."""
    assert "benchmarks" not in roots(path)


def test_no_two_test_files_have_one_name():
    """Pytest imports test files by their names, so two of one name cannot be collected together; conftest.py may be."""
    files = (path.name for path in (ROOT / "tests").rglob("*.py"))
    names = Counter(name for name in files if name not in ("__init__.py", "conftest.py"))
    assert [name for name, n in names.items() if n > 1] == []


def test_a_parameter_that_changes_is_seen():
    stamped = "@parametrize('x', [gzip.compress(b''), gzip.compress(b'', mtime=0), time.time()])\ndef test_x(x): ..."
    assert list(changing_parameters(stamped)) == ["gzip.compress(b'')", "time.time()"]


def test_parameters_of_tests_are_the_same_in_every_process():
    tests = sorted((ROOT / "tests").rglob("test_*.py"))
    found = {path.name: list(changing_parameters(path.read_text(encoding="utf-8"))) for path in tests}
    assert {name: calls for name, calls in found.items() if calls} == {}
