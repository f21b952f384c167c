"""Holds the code against docs/architecture.md: who may import whom, where the heavy libraries stay,
how large a thing may grow, that each module says what it owns and has a test beside it.

Reads the sources with `ast`, imports none of them; a part that is not written yet is no error.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("assistant", "feedback", "retrieval", "training")

# Package -> what else of ours it may import. Data closes the circle, imports never do.
ARROWS = {
    "assistant": {"feedback", "retrieval", "training"},
    "feedback": set(),
    "retrieval": {"feedback"},
    "training": {"feedback"},
}

# Inside training an import never goes up: what acts may use what decides, never the other way round.
# A module that is not named stands with those that act; the trainers have a rule of their own.
STOREYS = (
    {"records"},
    {"schema"},
    {"betting", "canary", "evidence", "gate", "outcomes", "pairs", "probes", "questions", "raters"}
    | {"comparison", "comparison_verdict", "recipes", "screening", "settling", "together", "vote_model"},
    {"adapters", "evaluation", "gathering", "launcher", "registry", "runs"},
    {"pipeline"},
    {"worker"},
    {"simulate"},
)
ACTING = 3

TRAINING_CODE = ("training/trainers/", "training/starter/")
# Library -> where it may be imported: a folder (with /) or one file. Everywhere else it would make
# every start pay for it: trl alone takes more than ten seconds.
HEAVY = {
    "torch": TRAINING_CODE,
    "transformers": TRAINING_CODE,
    "trl": TRAINING_CODE,
    "peft": TRAINING_CODE,
    "gradio": ("assistant/ui/",),
    "vllm": ("assistant/engine/server.py", "assistant/engine/cpu_lora.py", "assistant/engine/cpu_norms.py"),
    "chromadb": ("retrieval/",),
    "langchain": ("retrieval/", "assistant/tools.py"),
    "langchain_chroma": ("retrieval/",),
    "langchain_core": ("retrieval/", "assistant/tools.py"),
    "langchain_text_splitters": ("retrieval/",),
    "sentence_transformers": ("retrieval/",),
}
# The plug-in for the engine lives in the engine's process, so it may use what is loaded there anyway
HEAVY["torch"] += ("assistant/engine/server.py", "assistant/engine/cpu_")
# sentence_transformers brings them along
HEAVY["torch"] += ("retrieval/embeddings.py",)
HEAVY["transformers"] += ("retrieval/embeddings.py",)

LONGEST_FUNCTION, LONGEST_FILE = 80, 400
# Too short to need an introduction
SHORT_MODULE = 10

# Modules without a test beside them, each with its reason
NO_TWIN = {
    "assistant/errors.py": "class statements only",
    "feedback/search_index.py": "statements only; test_searching.py and test_migrations.py run every one",
    "feedback/schema.py": "tables only; the stores' tests fill and read every one",
    "retrieval/schema.py": "tables only; the stores' tests fill and read every one",
    "training/schema.py": "tables only; the stores' tests fill and read every one",
}


@dataclass(frozen=True)
class Module:
    """One source file: `path` relative to the repository, `name` as it is imported."""

    path: str
    name: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]


@cache
def modules() -> tuple[Module, ...]:
    found = []
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            path = file.relative_to(ROOT)
            parts = path.with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = file.read_text(encoding="utf-8")
            found.append(Module(path.as_posix(), name, text, ast.parse(text, path.as_posix())))
    return tuple(found)


def module_names() -> set[str]:
    return {module.name for module in modules()}


def imports(module: Module) -> Iterator[tuple[str, int]]:
    """Each dotted name that the module imports, with its line: at the top, in functions, and by string."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                is_package = module.path.endswith("__init__.py")
                parents = module.name.split(".")
                above = parents[: len(parents) - node.level + is_package]
                origin = ".".join([*above, origin] if origin else above)
            # `from training import runs` imports training.runs, and so does `from training.runs import Run`
            names = [f"{origin}.{alias.name}" for alias in node.names]
            submodules = [name for name in names if name in module_names()]
            yield from ((name, node.lineno) for name in submodules)
            if len(submodules) < len(names):
                yield origin, node.lineno
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            name = node.args[0].value
            if called in ("import_module", "__import__") and isinstance(name, str):
                yield name, node.lineno


def is_under(name: str, parent: str) -> bool:
    return name == parent or name.startswith(f"{parent}.")


def hold(wrong: list[str]) -> None:
    """Fail with one line for each thing that is wrong, and without the test's own source around them."""
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def test_packages_import_along_the_arrows() -> None:
    wrong = [
        f"{module.path}:{line}: {module.package} must not import {name}"
        for module in modules()
        for name, line in imports(module)
        if (other := name.partition(".")[0]) in PACKAGES
        and other != module.package
        and other not in ARROWS[module.package]
    ]
    hold(wrong)


def test_trainers_know_only_records_and_recipes() -> None:
    allowed = ("training.trainers", "training.records", "training.recipes")
    wrong = [
        f"{module.path}:{line}: a trainer must not import {name}"
        for module in modules()
        if is_under(module.name, "training.trainers")
        for name, line in imports(module)
        if name.partition(".")[0] in PACKAGES and not any(is_under(name, one) for one in allowed)
    ]
    hold(wrong)


def storey(name: str) -> int:
    """The height of `training.NAME` and what is inside it; `training` itself is below all of them."""
    inside = name.split(".")[1:2]
    if not inside:
        return 0
    return next((height for height, names in enumerate(STOREYS) if inside[0] in names), ACTING)


def test_training_imports_never_go_up() -> None:
    wrong = [
        f"{module.path}:{line}: {name} stands above it"
        for module in modules()
        if is_under(module.name, "training")
        for name, line in imports(module)
        if is_under(name, "training") and storey(name) > storey(module.name)
    ]
    hold(wrong)


def test_heavy_imports_stay_at_the_edges() -> None:
    wrong = [
        f"{module.path}:{line}: {name} belongs to {', '.join(HEAVY[library])}"
        for module in modules()
        for name, line in imports(module)
        for library in HEAVY
        # langchain is a family: langchain_openai and the like
        if (name.partition(".")[0] == library or (library == "langchain" and name.startswith("langchain_")))
        and not module.path.startswith(HEAVY[library])
    ]
    hold(wrong)


def test_modules_say_what_they_own() -> None:
    wrong = []
    for module in modules():
        if module.text.count("\n") <= SHORT_MODULE:
            continue
        opening = ast.get_docstring(module.tree)
        lines = len(opening.splitlines()) if opening else 0
        if not 2 <= lines <= 6:
            wrong.append(f"{module.path}: opens with {lines} lines of docstring, wanted are 2 to 6")
    hold(wrong)


def test_functions_and_files_stay_small() -> None:
    wrong = []
    for module in modules():
        if "/migrations/versions/" in module.path:
            continue  # a frozen list of tables and columns, written once
        length = module.text.count("\n")
        if length > LONGEST_FILE:
            wrong.append(f"{module.path}: {length} lines, at most {LONGEST_FILE}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                height = node.end_lineno - node.lineno + 1
                if height > LONGEST_FUNCTION:
                    place = f"{module.path}:{node.lineno}: {node.name}"
                    wrong.append(f"{place} has {height} lines, at most {LONGEST_FUNCTION}")
    hold(wrong)


def needs_twin(path: str) -> bool:
    file = Path(path)
    return not file.name.startswith("__") and "migrations" not in file.parts and path not in NO_TWIN


def twins(path: str) -> list[Path]:
    """Where the test of a module may be: by its name; inside a folder of a package also by the folder's."""
    package, *folders, file = Path(path).parts
    home = ROOT / "tests" / package
    places = [home / f"test_{file}", home.joinpath(*folders, f"test_{file}")]
    return places + [home / f"test_{folder}.py" for folder in folders]


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_have_twins(package: str) -> None:
    if not any((ROOT / "tests" / package).rglob("test_*.py")):
        pytest.skip(f"tests/{package}/ has no test yet")
    wrong = [
        f"{module.path}: no {twins(module.path)[0].relative_to(ROOT)}"
        for module in modules()
        if module.package == package
        and needs_twin(module.path)
        and not any(twin.exists() for twin in twins(module.path))
    ]
    hold(wrong)


def test_exceptions_are_not_left_over() -> None:
    present = {module.path for module in modules()}
    packages = {path.partition("/")[0] for path in present}
    gone = [path for path in NO_TWIN if path.partition("/")[0] in packages and path not in present]
    hold([f"NO_TWIN names {path}, which is not there" for path in gone])


def drawn_tree(page: str) -> dict[str, set[str]]:
    """The first fenced block that names training/, as head -> the paths on its lines.

    A line at the left edge opens a head; indented lines go on with it. The first word of a line is a
    path, and so is `name.py` or `name/` later on; what stands in angle brackets is a pattern, not a path.
    """
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    block = next((text for text in blocks if re.search(r"^training/", text, re.MULTILINE)), "")
    tree: dict[str, set[str]] = {}
    head = ""
    for line in block.splitlines():
        words = line.split()
        later = re.findall(r"(?<![\w./<>-])[\w./-]*\w(?:\.py\b|/(?!\w))", " ".join(words[1:]))
        paths = {path for path in [*words[:1], *later] if "<" not in path}
        if line[:1].strip():
            head = words[0].rstrip("/")
        if paths:
            tree.setdefault(head, set()).update(paths)
    return tree


def exists(head: str, token: str) -> bool:
    if (ROOT / token).exists() or (ROOT / head / token).exists():
        return True
    places = (ROOT / head).rglob(Path(token).name)
    return any(place.as_posix().endswith(f"/{token.rstrip('/')}") for place in places)


def test_the_drawn_tree_agrees_with_the_files() -> None:
    page = ROOT / "docs" / "architecture.md"
    if not page.exists():
        pytest.skip("docs/architecture.md is not written yet")
    tree = drawn_tree(page.read_text(encoding="utf-8"))
    assert tree, "docs/architecture.md has no fenced tree with training/ in it"
    wrong = [
        f"docs/architecture.md names {token} under {head}, which is not there"
        for head, tokens in tree.items()
        for token in sorted(tokens)
        if not exists(head, token)
    ]
    for module in modules():
        file = Path(module.path)
        if file.name.startswith("__") or "versions" in file.parts:
            continue
        tokens = tree.get(module.package, set())
        # A folder may stand for its files (`starter/`); a file of a package itself is named
        folders = {f"{folder}/" for folder in file.parts[1:-1]}
        if not any(token.endswith(file.name) for token in tokens) and not folders & tokens:
            wrong.append(f"{module.path} is missing in the tree of docs/architecture.md")
    hold(wrong)


def test_the_tree_is_read_as_it_is_drawn() -> None:
    page = (
        "```\nother\n```\n"
        "```\nMakefile  docs/ (pictures)\n\nfeedback/   facts, see nobody\n"
        "  records.py    plain     store.py  keeps\n"
        "training/  learns\n  trainers/ one file a method + model.py\n"
        "tests/<package>/test_<module>.py   twins;  tests/test_loop.py\n```\n"
    )
    assert drawn_tree(page) == {
        "Makefile": {"Makefile", "docs/"},
        "feedback": {"feedback/", "records.py", "store.py"},
        "training": {"training/", "trainers/", "model.py"},
        "tests/<package>/test_<module>.py": {"tests/test_loop.py"},
    }
