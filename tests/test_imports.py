"""Imports point one way, and what must start light never pulls in torch or what draws."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "stats_store", "models", "simulator", "workers")

# What each package may import of ours, by prefix.
ALLOWED = {
    "schemas": ("schemas",),
    "stats_store": ("stats_store", "schemas"),
    "models": ("models", "schemas", "stats_store.features", "stats_store.histogram"),
    "simulator": ("simulator", "schemas"),
    "workers": PACKAGES,
}

# Distributions that are torch, or import it as soon as they are imported.
TORCH = {"torch", "torchvision", "efficientnet_lite_pytorch", "safetensors.torch"}

# What must not import torch while it is imported. Functions inside may, when they are called.
LIGHT = (
    *("schemas", "stats_store", "simulator"),
    *("workers.cli.main", "workers.runtime", "workers.stats", "workers.local", "workers.topics"),
    *("workers.suggest", "workers.replay", "models.pricer", "models.images"),
    *("models.extractors.onnx_runtime", "models.dataset.reader", "models.errors"),
)


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(f"{prefix}.")


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    path = modules()[module]
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported_by(node: ast.AST, module: str) -> Iterator[str]:
    """The dotted names that an import statement names, as far down as they are modules."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = (
                module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]
            )
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            yield inner if inner in modules() or inner in TORCH else base


def all_imports(module: str) -> set[str]:
    """Also those inside functions and those for type checkers only."""
    return {name for node in ast.walk(tree(module)) for name in imported_by(node, module)}


def imports_on_import(module: str) -> set[str]:
    """Those that run when the module is imported: not in functions, not for type checkers."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for statement in node.orelse:
                visit(statement)
            return
        found.update(imported_by(node, module))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree(module))
    return found


def parents(module: str) -> Iterator[str]:
    """The packages that are imported before the module."""
    parts = module.split(".")
    return (".".join(parts[:n]) for n in range(1, len(parts)))


def way_to_torch(module: str) -> list[str]:
    """The chain of imports from a module to torch; empty when there is none."""
    chains = [[module]]
    seen = {module}
    for chain in chains:
        named = imports_on_import(chain[-1])
        packages = {above for name in {chain[-1], *named} for above in parents(name)}
        for name in sorted(named | packages):
            if any(within(name, heavy) for heavy in TORCH):
                return [*chain, name]
            if name in modules() and name not in seen:
                seen.add(name)
                chains.append([*chain, name])
    return []


def light_modules() -> list[str]:
    return [name for name in modules() if any(within(name, prefix) for prefix in LIGHT)]


def test_packages_are_found() -> None:
    assert {name.partition(".")[0] for name in modules()} == set(PACKAGES)
    assert "schemas.listing" in modules()
    assert all_imports("schemas.listing") >= {"schemas.base", "pydantic"}


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    wrong = [
        f"{module} imports {name}"
        for module in modules()
        if within(module, package)
        for name in sorted(all_imports(module))
        if name.partition(".")[0] in PACKAGES
        if not any(within(name, allowed) for allowed in ALLOWED[package])
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_imports_tests_examples_or_benchmarks(package: str) -> None:
    wrong = [
        f"{module} imports {name}"
        for module in modules()
        if within(module, package)
        for name in all_imports(module)
        if name.partition(".")[0] in {"tests", "examples", "benchmarks", "deploy"}
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ["schemas", "stats_store", "simulator"])
def test_light_packages_do_not_import_torch_even_inside_functions(package: str) -> None:
    wrong = [
        f"{module} imports {name}"
        for module in modules()
        if within(module, package)
        for name in all_imports(module)
        if any(within(name, heavy) for heavy in TORCH)
    ]
    assert wrong == []


def test_what_must_start_light_leads_to_no_import_of_torch() -> None:
    ways = {module: way_to_torch(module) for module in light_modules()}
    assert {module: " -> ".join(way) for module, way in ways.items() if way} == {}


def test_what_must_start_light_does_so_with_all_that_others_wrote() -> None:
    program = (
        "import importlib, sys\n"
        f"for name in {light_modules()!r}: importlib.import_module(name)\n"
        "print(sorted({'torch', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "[]\n"


def test_no_import_goes_round_in_a_circle() -> None:
    edges = {
        module: {name for name in imports_on_import(module) if name in modules()} - {module}
        for module in modules()
    }
    while leaves := [module for module, names in edges.items() if not names & edges.keys()]:
        for module in leaves:
            del edges[module]
    assert edges == {}
