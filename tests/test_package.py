"""The package as it is built for an index: the wheel comes from the source distribution, and holds all of `src`."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both distributions."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(["uv", "build", "--quiet", "--out-dir", str(folder)], cwd=ROOT, check=True, timeout=100)
    return folder


def modules() -> set[str]:
    return {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.py")}


@pytest.mark.integration
def test_the_wheel_holds_every_module_and_the_mark_of_its_types(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert modules() | {"agentllm/py.typed"} <= held
    assert {name.partition("/")[0] for name in held} == {"agentllm", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"}


@pytest.mark.integration
def test_the_source_distribution_holds_what_the_readme_starts(built: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    started = {"README.md", "CHANGELOG.md", "LICENSE", "noxfile.py", "proxy_config.yaml", ".env.example", "uv.lock"}
    assert started | {f"src/{module}" for module in modules()} | {"tests/conftest.py", "docs/openai.md"} <= held
