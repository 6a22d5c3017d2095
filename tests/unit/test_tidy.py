"""The house rules that no linter holds: sizes, walls, and what may not be committed.

Sizes ratchet: EXCEPTIONS holds today's sinners with their exact number, and an entry
that is too generous, or no longer needed, fails as well.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ("consumer/", "processors/", "benchmarks/", "native/", "scripts/")
LIMITS = {"lines": 400, "function": 60, "parameters": 5}

# (file, function or "", what) → the number of today.
EXCEPTIONS: dict[tuple[str, str, str], int] = {}

RUST_FUNCTION = re.compile(
    r"^(?P<indent> *)(?:pub(?:\([^)]*\))? )?(?:const |async |unsafe |extern \"C\" )*"
    r"fn (?P<name>\w+)[^(]*\((?P<rest>.*)",
)
MACHINE_PATHS = re.compile(
    "|".join(
        [
            re.escape(f"{ROOT.resolve()}/"),
            re.escape(f"{ROOT.resolve().parent}/shared"),
            re.escape(f"{Path.home()}/"),
            r"/(?:home|Users)/\w+/",
        ]
    )
)
"""Where this checkout and its user happen to live."""
MIRRORS = re.compile(
    r"index-url|trusted-host|find-links|replace-with|<mirror>|<repository>|<pluginRepository>"
    r"|^registry\s*=|\"resolved\":"
)
CRATES_IO = '"registry+https://github.com/rust-lang/crates.io-index"'
CLOCK_CALLS = {"now", "utcnow", "today"}
IMPURE = {
    *("asyncio", "datetime", "http", "logging", "multiprocessing", "os", "random", "requests"),
    *("secrets", "socket", "subprocess", "threading", "time", "urllib", "urllib3", "uuid"),
}

Sizes = Iterator[tuple[tuple[str, str, str], int]]


def tracked() -> list[str]:
    """Every file that is committed, or would be by ``git add --all``."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in sorted(set(listed.stdout.splitlines())) if (ROOT / name).is_file()]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def shipped(suffix: str, folders: tuple[str, ...] = SHIPPED) -> list[str]:
    return [
        name
        for name in tracked()
        if name.startswith(folders) and name.endswith(suffix) and "/tests/" not in name
    ]


def python_sizes(name: str, text: str) -> Sizes:
    yield (name, "", "lines"), len(text.splitlines())
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield (name, node.name, "function"), (node.end_lineno or 0) - node.lineno + 1
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        named = [each for each in arguments if each.arg not in {"self", "cls"}]
        yield (name, node.name, "parameters"), len(named)


def rust_sizes(name: str, text: str) -> Sizes:
    lines = text.splitlines()
    yield (name, "", "lines"), len(lines)
    for start, line in enumerate(lines):
        found = RUST_FUNCTION.match(line)
        if not found:
            continue
        # rustfmt puts the closing brace below the first letter of the function.
        ends = (at for at in range(start, len(lines)) if lines[at] == found["indent"] + "}")
        end = start if line.endswith((";", "}")) else next(ends, start)
        yield (name, found["name"], "function"), end - start + 1
        signature = found["rest"] + " ".join(lines[start + 1 : end + 1])
        yield (name, found["name"], "parameters"), rust_parameters(signature)


def rust_parameters(signature: str) -> int:
    """Count the parameters of ``a: A, b: B<C, D>) -> …``, but for self and the GIL's token."""
    depth, parameters = 0, [""]
    for at, letter in enumerate(signature):
        if letter == ")" and depth == 0:
            break
        arrow = letter == ">" and signature[at - 1] in "-="
        depth += letter in "([{<"
        depth -= letter in ")]}>" and not arrow
        if letter == "," and depth == 0:
            parameters.append("")
        else:
            parameters[-1] += letter
    stripped = [each.strip() for each in parameters]
    return sum(bool(p) and not re.match(r"(&?(mut )?self\b|_?py:)", p) for p in stripped)


def sizes() -> Sizes:
    for name in shipped(".py"):
        yield from python_sizes(name, read(name))
    for name in shipped(".rs"):
        yield from rust_sizes(name, read(name))


def imports(name: str) -> set[str]:
    """The top-level names of the packages that a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(read(name))):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def calls_of(name: str) -> Iterable[ast.Attribute]:
    nodes = ast.walk(ast.parse(read(name)))
    calls = (node.func for node in nodes if isinstance(node, ast.Call))
    return [called for called in calls if isinstance(called, ast.Attribute)]


def lines_with(pattern: re.Pattern[str], names: Iterable[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for name in names
        for number, line in enumerate(read(name).splitlines(), 1)
        if pattern.search(line)
    ]


def test_nothing_is_larger_than_agreed() -> None:
    largest: dict[tuple[str, str, str], int] = {}
    for key, number in sizes():
        largest[key] = max(number, largest.get(key, 0))
    too_large = {key: n for key, n in largest.items() if n > LIMITS[key[2]]}
    assert too_large == EXCEPTIONS, "split it; or, if it shrank, shrink its entry too"


def test_the_table_of_exceptions_stays_short() -> None:
    assert len(EXCEPTIONS) <= 5


@pytest.mark.parametrize(
    ("signature", "count"),
    [
        (") -> u8 {", 0),
        ("&mut self, py: Python<'_>, a: HashMap<u8, u8>, b: &[u8],) {", 2),
        ("&self) {", 0),
        ("a: impl Fn(u8, u8) -> u8, b: (u8, u8)) {", 2),
    ],
)
def test_parameters_of_rust_functions_are_counted(signature: str, count: int) -> None:
    assert rust_parameters(signature) == count


def test_sizes_of_rust_functions_are_measured() -> None:
    text = "impl A {\n    pub fn one(\n        a: u8,\n    ) {\n        b();\n    }\n}\n"
    assert dict(rust_sizes("a.rs", text)) == {
        ("a.rs", "", "lines"): 7,
        ("a.rs", "one", "function"): 5,
        ("a.rs", "one", "parameters"): 1,
    }


def test_no_path_of_a_machine_is_committed() -> None:
    own = Path(__file__).relative_to(ROOT).as_posix()
    names = [name for name in tracked() if name != own and not name.startswith("tests/golden/")]
    assert lines_with(MACHINE_PATHS, names) == []


def test_no_address_of_a_package_mirror_is_committed() -> None:
    files = ("Dockerfile", "pom.xml", ".toml", ".lock", ".cfg", ".sh", ".ci/run", "Makefile")
    assert lines_with(MIRRORS, [name for name in tracked() if name.endswith(files)]) == []


def test_lock_files_name_no_address_but_the_public_registry_of_crates() -> None:
    locks = [name for name in tracked() if re.search(r"\.lock$|lock\.json$", name)]
    assert "requirements.lock" in locks
    addresses = lines_with(re.compile(r"://|file:"), locks)
    assert [line for line in addresses if CRATES_IO not in line] == []


def test_only_one_package_talks_to_kafka() -> None:
    users = [name for name in shipped(".py") if "confluent_kafka" in imports(name)]
    assert users
    assert [name for name in users if not name.startswith("consumer/kafka/")] == []


def test_only_one_module_reads_a_clock() -> None:
    names = shipped(".py", ("consumer/", "processors/"))
    importers = [name for name in names if "time" in imports(name)]
    assert importers == ["consumer/clock.py"]
    dates = {
        name
        for name in names
        for call in calls_of(name)
        if call.attr in CLOCK_CALLS and ast.unparse(call.value).endswith(("datetime", "date"))
    }
    assert dates == set()


def test_only_one_module_reads_the_environment() -> None:
    names = shipped(".py", ("consumer/", "processors/"))
    reads = re.compile(r"\bos\.(environ|getenv)\b|from os import .*\b(environ|getenv)\b")
    readers = {line.partition(":")[0] for line in lines_with(reads, names)}
    assert readers <= {"consumer/config/environment.py"}


def test_processors_are_pure() -> None:
    names = shipped(".py", ("processors/",))
    assert {name: found for name in names if (found := imports(name) & IMPURE)} == {}
