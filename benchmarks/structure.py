"""Size and structure of the source: `python -m benchmarks.structure`, in the tree that it is called in."""

import ast
import collections
import contextlib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path.cwd()
MIDDLE = ("interchange", "alignment")
BESIDE = ("tasks", "networks", "statistics")
MAX_FUNCTION, MIN_MODULE, MAX_LINE, MAX_ROW = 60, 50, 120, 200
VAGUE = {"one", "own", "told", "place", "shown", "there", "theirs", "asked", "mine", "other", "found"}
"""Variable names that do not say what the variable is."""


@contextlib.contextmanager
def constructed_types(packages: tuple[str, ...]) -> Iterator[set[str]]:
    """The classes of some packages of symscope that are constructed inside the block, as `module.Class`."""
    seen: set[str] = set()
    kinds: dict[type, object] = {}
    for name in packages:
        package = importlib.import_module(f"symscope.{name}")
        paths = getattr(package, "__path__", ())
        modules = [module.name for module in pkgutil.walk_packages(paths, f"symscope.{name}.")]
        for module in map(importlib.import_module, [package.__name__, *modules]):
            classes = [kind for kind in vars(module).values() if inspect.isclass(kind) and not inspect.isabstract(kind)]
            kinds |= {kind: kind.__dict__.get("__init__") for kind in classes if kind.__module__ == module.__name__}

    def noting(original: Callable[..., None]) -> Callable[..., None]:
        def __init__(self: object, *args: object, **options: object) -> None:  # noqa: N807
            if type(self) in kinds:
                seen.add(f"{type(self).__module__}.{type(self).__qualname__}")
            if original is not object.__init__:
                original(self, *args, **options)

        return __init__

    for kind, original in {kind: kind.__init__ for kind in kinds}.items():
        kind.__init__ = noting(original)
    try:
        yield seen
    finally:
        for kind, previous in kinds.items():
            if previous is None:
                del kind.__init__
            else:
                kind.__init__ = previous


def types_of_one_align_call() -> dict[str, list[str]]:
    """The classes that are constructed between tokens and a result, by package."""
    import symscope as sc  # noqa: PLC0415  (counting files needs no torch)

    task = sc.make_task("multi-object", quantities=range(1, 5), held_out=(3,))
    algorithm = sc.make_algorithm("up-down", task)
    network, fresh = (sc.make_network("gru", 8, len(task.vocabulary), sc.generator(seed)) for seed in (0, 1))
    sizes = {"n_train": 100, "n_validation": 50, "n_test": 50}
    options = sc.SearchOptions(steps=20, validate_every=10, restarts=2)
    controls = [*sc.DEFAULT_CONTROLS, sc.Untrained(fresh)]
    with constructed_types((*MIDDLE, *BESIDE)) as seen:
        sc.align(network, algorithm, ["count", "phase"], [1, 2], controls=controls, options=options, **sizes)
    by_package = collections.defaultdict(list)
    for name in sorted(seen):
        by_package[name.split(".")[1]].append(name)
    return by_package


def main() -> None:
    by_package = types_of_one_align_call()
    for package in (*MIDDLE, *BESIDE):
        names = [name.rsplit(".", 1)[1] for name in by_package[package]]
        print(f"types constructed in one align call, {package}: {len(names)} ({', '.join(names)})")
    print(f"types between tokens and result, {' + '.join(MIDDLE)}: {sum(len(by_package[p]) for p in MIDDLE)}")
    sources = {path: ast.parse(path.read_text("utf-8")) for path in sorted(ROOT.glob("src/**/*.py"))}
    nodes = [(path, node) for path, tree in sources.items() for node in ast.walk(tree)]
    print(f"statements in src: {sum(isinstance(node, ast.stmt) for _, node in nodes):,}")
    functions = [node for _, node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [node.name for node in functions if node.end_lineno - node.lineno + 1 > MAX_FUNCTION]
    print(f"functions over {MAX_FUNCTION} lines: {len(long)} ({', '.join(long)})")
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in sources if path.name != "__init__.py"}
    short = [str(path.relative_to(ROOT / "src" / "symscope")) for path, n in lengths.items() if n < MIN_MODULE]
    print(f"modules under {MIN_MODULE} lines, without __init__: {len(short)} of {len(lengths)} ({', '.join(short)})")
    print(f"longest module: {max(lengths.values())} lines")
    bound = [node.arg for _, node in nodes if isinstance(node, ast.arg)]
    bound += [node.id for _, node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    vague = collections.Counter(name for name in bound if name in VAGUE)
    print(f"vague variable names: {vague.total()} of {len(bound):,} ({vague.total() / len(bound):.2%}; {dict(vague)})")
    print(f"Markdown lines over {MAX_LINE} characters (table rows over {MAX_ROW}): {_long_lines_of_markdown()}")
    tests = [ast.parse(path.read_text("utf-8")) for path in ROOT.glob("tests/**/test_*.py")]
    defined = [node for tree in tests for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    print(f"test functions: {sum(node.name.startswith('test_') for node in defined):,}")


def _long_lines_of_markdown() -> int:
    paths = [p for p in ROOT.glob("**/*.md") if not any(part.startswith(".") for part in p.relative_to(ROOT).parts)]
    lines = [line for path in paths if path.name != "CHANGELOG.md" for line in path.read_text("utf-8").splitlines()]
    return sum(len(line) > (MAX_ROW if line.lstrip().startswith("|") else MAX_LINE) for line in lines)


if __name__ == "__main__":
    main()
