"""The project's `proxy_config.yaml`: what stands in it to be uncommented can be."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from agentllm.llm.own_router import own_router
from tests.proxy import ROOT

_TEXT = (ROOT / "proxy_config.yaml").read_text()
_CACHES = re.findall(r"^  # (cache_params: .*)$", _TEXT, re.MULTILINE)


def uncommented(cache: str) -> str:
    """The file with all that is commented out in it, and one of its caches."""
    lines = []
    for line in _TEXT.splitlines():
        if line.strip().startswith("# cache_params:"):
            lines += [f"  {cache}"] if line.strip() == f"# {cache}" else []
        elif re.match(r"^ *# ( *(- model_name|litellm_params|[a-z_]+): .*| *[a-z_]+:( .*)?)$", line):
            lines.append(line.replace("# ", "", 1))
        else:
            lines.append(line)
    return "\n".join(lines)


@pytest.mark.parametrize("cache", _CACHES)
def test_all_of_it_is_a_configuration(cache: str) -> None:
    config: dict[str, Any] = yaml.safe_load(uncommented(cache))
    names = [entry["model_name"] for entry in config["model_list"]]
    assert names == ["gemini-2.5-pro", "gemini-2.5-flash", "gpt", "gpt", "claude"]
    (fallbacks,) = config["router_settings"]["fallbacks"]
    assert {*fallbacks, *fallbacks["gpt"]} <= set(names)
    assert config["litellm_settings"]["cache"] is True
    assert config["litellm_settings"]["cache_params"]["ttl"] == 3_600
    assert config["general_settings"]["custom_auth_run_common_checks"] is True


def test_there_is_one_cache_of_each_kind() -> None:
    assert [yaml.safe_load(cache)["cache_params"]["type"] for cache in _CACHES] == ["local", "disk", "redis"]


@pytest.mark.filterwarnings(r"ignore:Items? .* using the `ReadOnly` qualifier:UserWarning")
@pytest.mark.filterwarnings(r"ignore:Accessing the 'model_\w+' attribute on the instance:DeprecationWarning")
async def test_a_router_can_be_made_of_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import litellm

    monkeypatch.setattr(litellm, "cache", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "proxy_config.yaml").write_text(uncommented(_CACHES[0]))
    router = own_router()
    assert router is not None
    assert sorted(set(router.get_model_names())) == ["claude", "gemini-2.5-flash", "gemini-2.5-pro", "gpt"]
    router.discard()  # type: ignore[no-untyped-call]  # LiteLLM has no types for it
