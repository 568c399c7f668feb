"""Names of models: which names mean the same model, and which mean another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdp import catalog
from pdp.domain.model_catalog import ModelConfig, config_id
from pdp.domain.model_name_tables import FAMILIES
from pdp.domain.model_names import MAX_NAME, MAX_TOKENS, dates_agree, read_name, read_provider
from pdp.engine.rules.models import ModelIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

SHIPPED: Final = catalog.models()

SAME: Final[Mapping[str, str]] = {
    "gpt-4o": """
        openai|gpt-4o azure|gpt-4o azure_openai|gpt-4o github|gpt-4o
        openrouter|openai/gpt-4o:nitro azure|gpt-4o-2024-08-06.ft-0123abc azure|gpt4o
        mygateway|gpt-4o |azure/eu/gpt-4o-2024-08-06 |GPT-4O_2024_08_06
        azure|openai/deployments/gpt-4o/chat/completions |azure/global-standard/gpt-4o
        azure|gpt-4o-eu
        """,
    "claude-sonnet-4-5": """
        bedrock|xx.anthropic.claude-sonnet-4-5-20250929-v1:0 azure_ai|claude-sonnet-4-5
        anthropic|claude_sonnet_4_5 azure|claude-sonnet-4-5-20250929-v1-0
        amazon|anthropic.claude-sonnet-4-5-v1:0
        """,
    "gemini-2.5-pro": """
        google|gemini-pro-latest google|gemini-2.5-pro:generateContent
        """,
    "gemini-2.5-flash-lite": """
        google|gemini-flash-lite-latest gemini|gemini-2.5-flash-lite
        vertexai|gemini-2.5-flash-lite-001
        """,
    "embed-v4.0": """
        cohere|embed-v4 azure|embed-v-4-0
        """,
    "grok-3-mini": """
        xai|grok-3-mini-high
        """,
    "grok-4": """
        xai|grok-latest oci|xai.grok-4
        """,
    "o3": """
        azure|o3 openrouter|openai/o3:free
        """,
}
"""Requests, as provider and name, for a model of the catalog."""

OTHER: Final[Mapping[str, str]] = {
    "gpt-4o": """
        openai|gpt-4o-mini openai|gpt-4o-mini-2024-07-18 azure|gpt-4o-mini openai|gpt-4
        openai|gpt-4-0613 openai|gpt-4-turbo openai|gpt-4-turbo-2024-04-09 openai|gpt-4.1
        openai|gpt-4o-audio-preview openai|gpt-4o-realtime-preview-2024-12-17
        openai|gpt-4o-transcribe openai|gpt-5 openai|gpt-3.5-turbo openai|o3 openai|chatgpt
        openrouter|openai/gpt-4o-mini:free openai|ft:gpt-4o-mini:acme::id
        openai|gpt-4o-search-preview azure|gpt-35-turbo kimi|kimi-k2 |gpt-4.5-preview
        |gpt-oss-20b
        """,
    "claude-sonnet-4": """
        anthropic|claude-sonnet-4-5-20250929 anthropic|claude-sonnet-4-6
        bedrock|us.anthropic.claude-sonnet-4-6-v1:0 anthropic|claude-opus-4-20250514
        anthropic|claude-3-7-sonnet-20250219 anthropic|claude-3-5-sonnet-20241022
        openrouter|anthropic/claude-sonnet-4.5 anthropic|claude-sonnet-4-6-20260101
        vertex_ai|claude-sonnet-4-6@20260201 openrouter|anthropic/claude-3-sonnet
        anthropic|claude-sonnet-5 anthropic|claude-haiku-4-5-20251001
        bedrock|us.anthropic.claude-sonnet-4-5-20250929-v1:0
        """,
    "claude-opus-4": """
        anthropic|claude-opus-4-1-20250805 anthropic|claude-opus-4-5-20251101
        openrouter|anthropic/claude-opus-4.1 anthropic|claude-opus-4-10
        anthropic|claude-opus-40
        """,
    "gemini-2.5-flash": """
        google|gemini-2.5-flash-lite google|gemini-2.5-flash-lite-preview-06-17
        google|gemini-2.5-pro-preview-06-05 google|gemini-2.0-flash-001
        google|gemini-2.5-flash-image-preview google|gemini-2.5-flash-preview-tts
        google|gemini-3-flash-preview google|gemini-1.5-flash-002
        google|gemini-live-2.5-flash-preview
        """,
    "gemini-2.5-pro": """
        google|gemini-2.5-flash google|gemini-3-pro-preview google|gemini-1.5-pro-002
        google|gemini-2.0-pro-exp-02-05 google|gemini-2.5-pro-preview-tts
        """,
    "mistral-large-latest": """
        mistral|mistral-small-2503 mistral|mistral-medium-2505 mistral|codestral-2501
        mistral|pixtral-large-2411 mistral|pixtral-large-latest mistral|ministral-8b-2410
        mistral|open-mistral-nemo mistral|mistral-nemo
        openrouter|mistralai/mixtral-8x7b-instruct mistral|magistral-medium-2506
        """,
    "mistral-small-latest": """
        mistral|mistral-large-2411 mistral|magistral-small-2509 mistral|devstral-small-2505
        mistral|voxtral-small-latest mistral|mistral-tiny
        openrouter|mistralai/mistral-7b-instruct mistral|mistral-saba-2502
        """,
    "llama-3.1-8b-instruct": """
        groq|llama-3.3-70b-versatile bedrock|meta.llama3-1-70b-instruct-v1:0
        bedrock|meta.llama3-8b-instruct-v1:0
        together|meta-llama/Meta-Llama-3.1-405B-Instruct-Turbo
        openrouter|meta-llama/llama-3.2-3b-instruct groq|llama3-8b-8192
        groq|deepseek-r1-distill-llama-70b openrouter|nvidia/llama-3.1-nemotron-70b-instruct
        ollama|llama3.1:70b ollama|llama3:8b groq|meta-llama/llama-4-scout-17b-16e-instruct
        openrouter|deepseek/deepseek-r1-distill-llama-8b groq|llama-guard-3-8b
        """,
    "llama-4-maverick": """
        groq|meta-llama/llama-4-scout-17b-16e-instruct
        bedrock|us.meta.llama4-scout-17b-instruct-v1:0
        """,
    "llama-3.3-70b-instruct": """
        lambda_ai|deepseek-llama3.3-70b meta_llama|Llama-3.3-8B-Instruct
        groq|llama-3.1-70b-versatile groq|llama3-70b-8192 groq|llama-3.3-70b-specdec
        ollama|llama3.2:3b openrouter|meta-llama/llama-3.1-70b-instruct
        """,
    "command-r-plus-08-2024": """
        cohere|command-r-08-2024 cohere|command-r cohere|command-r-plus-04-2024
        cohere|command-a-03-2025 cohere|command-r7b-12-2024
        """,
    "command-a-03-2025": """
        cohere|command-a-vision-07-2025 cohere|command-a-reasoning-08-2025
        cohere|command-r-03-2024 cohere|command-a-reasoning
        """,
    "embed-v4.0": """
        mistral|mistral-embed vercel|mistral/mistral-embed-2312 cohere|embed-v5.0-pro
        cohere|embed-english-v3.0 cohere|embed-multilingual-v3.0
        bedrock|cohere.embed-english-v3 cohere|embed-english-v2.0
        """,
    "grok-4": """
        xai|grok-3 xai|grok-4-fast xai|grok-4-fast-reasoning xai|grok-4-1-fast
        xai|grok-4.1-fast openrouter|x-ai/grok-4-fast:free xai|grok-code-fast-1
        xai|grok-2-1212 xai|grok-2-vision-1212 openrouter|x-ai/grok-3-mini xai|grok-4.1
        xai|grok-5 xai|grok-40
        """,
    "grok-3": """
        xai|grok-3-mini xai|grok-3-mini-beta xai|grok-3-fast
        openrouter|x-ai/grok-3-mini-beta xai|grok-2-latest xai|grok-4-0709
        """,
    "o3": """
        openai|o3-mini openai|o3-mini-2025-01-31 openai|o3-pro openai|o1 openai|o4-mini
        openai|o3-deep-research openai|o1-2024-12-17
        """,
    "deepseek-chat": """
        deepseek|deepseek-coder openrouter|deepseek/deepseek-r1 deepseek|deepseek-reasoner
        bedrock|deepseek.r1-v1:0 openrouter|deepseek/deepseek-r1-0528:free
        """,
    "amazon.nova-pro-v1:0": """
        bedrock|us.amazon.nova-lite-v1:0 bedrock|amazon.nova-micro-v1:0
        bedrock|amazon.nova-premier-v1:0 bedrock|amazon.nova-2-pro-v1:0
        bedrock|amazon.nova-2-lite-v1:0 bedrock|amazon.titan-text-express-v1
        amazon|amazon.nova-pro-v2:0
        """,
    "gpt-4.1": """
        openai|gpt-4 openai|gpt-4.1-mini openai|gpt-4.1-nano-2025-04-14 openai|gpt-4o
        azure|gpt-41-mini openai|gpt-4-1106-preview openai|gpt-4-turbo
        """,
    "claude-haiku-4-5": """
        anthropic|claude-3-5-haiku-20241022 anthropic|claude-3-haiku-20240307
        bedrock|us.anthropic.claude-sonnet-4-5-20250929-v1:0
        anthropic|claude-haiku-4-20250514
        """,
    "openai": """
        openrouter|anthropic/claude-sonnet-4.5 azure|Mistral-Large-2411
        groq|llama-3.1-8b-instant openrouter|eleutherai/gpt-j-6b vertex|gemini-2.5-pro
        """,
    "anthropic": """
        bedrock|amazon.nova-pro-v1:0 openrouter|openai/gpt-4o
        bedrock|meta.llama3-1-8b-instruct-v1:0
        """,
}
"""Requests that the switch of a model, or of a provider, leaves alone."""

OF_PROVIDER: Final[Mapping[str, str]] = {
    "openai": """
        openrouter|openai/gpt-9 azure|gpt-9 |gpt-9 groq|openai/gpt-oss-120b
        openrouter|openai/o9-mini bedrock|openai.gpt-oss-120b-1:0 |openrouter/openai/foo
        open-ai|xyz azure|text-embedding-3-large
        """,
    "anthropic": """
        bedrock|us.anthropic.claude-x-9 vertex_ai|claude-opus-9
        openrouter|anthropic/claude-99 databricks|databricks-claude-opus-7
        """,
    "google": """
        vertex_ai|gemini-9-pro gemini|x openrouter|google/gemma-3-27b-it
        vertex|publishers/google/models/foo
        """,
    "meta": """
        groq|meta-llama/llama-9 together|meta-llama/foo
        """,
    "amazon": """
        bedrock|amazon.titan-text-express-v1 bedrock|us.amazon.nova-premier-v1:0
        """,
}
"""Requests for models that the catalog does not have, of a provider that is off."""


def model(provider: str, model_id: str, *, killed: bool = False) -> ModelConfig:
    """Returns a model."""
    added = ModelConfig(config_id(provider, model_id), provider, model_id, model_id)
    return added.disabled(1.0, "other") if killed else added


def index(off: str, models: Iterable[ModelConfig] = SHIPPED) -> ModelIndex:
    """Returns the catalog with a model, or all models of a provider, switched off."""
    return ModelIndex(
        each.disabled(1.0, "other") if off in (each.model_id, each.provider) else each
        for each in models
    )


def requests(table: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yields what is off, the provider and the name of each request in a table."""
    for off, texts in table.items():
        for text in texts.split():
            provider, _, name = text.partition("|")
            yield off, provider, name


def known_models() -> tuple[ModelConfig, ...]:
    """Returns the shipped models, and all others that `model_names.yaml` has names of."""
    shipped = {each.model_id for each in SHIPPED}
    more = [name for name in catalog.model_names() if name not in shipped]
    return (*SHIPPED, *(model(read_name(name).family, name) for name in more))


@pytest.mark.parametrize(("off", "provider", "name"), list(requests(SAME)))
def test_a_model_that_is_off_is_stopped_by_its_other_names(
    off: str, provider: str, name: str
) -> None:
    killed = index(off).killed(name, provider)
    assert killed is not None
    assert (killed.model.model_id, killed.by_provider) == (off, False)


@pytest.mark.parametrize(("off", "provider", "name"), list(requests(OTHER)))
def test_other_models_are_left_alone(off: str, provider: str, name: str) -> None:
    assert index(off).killed(name, provider) is None


@pytest.mark.parametrize(("off", "provider", "name"), list(requests(OF_PROVIDER)))
def test_a_provider_that_is_off_is_stopped_at_hosts(off: str, provider: str, name: str) -> None:
    killed = index(off).killed(name, provider)
    assert killed is not None
    assert (killed.model.provider, killed.by_provider) == (off, True)


@pytest.mark.parametrize("name", list(catalog.model_names()))
def test_known_names_mean_one_model(name: str) -> None:
    """All known names of a model, and none of another one, are stopped by its switch."""
    off = index(name, known_models())
    for meant, names in catalog.model_names().items():
        for each in names:
            killed = off.killed(each)
            assert (killed is not None) == (meant == name), each


def test_no_two_models_of_the_catalog_are_one() -> None:
    """Other sizes and generations never get the same reading."""
    models = known_models()
    readings = {read_name(each.model_id)._replace(owner="", host="") for each in models}
    assert len(readings) == len(models)
    for each in models:
        for other in models:
            killed = index(each.model_id, models).killed(f"{other.model_id}-20380101", "openrouter")
            assert (killed is not None) == (each is other), other.model_id


dates = st.sampled_from(
    ("", "-20380807", "-2038-08-07", "@20380807", "-0807", "-08-2038", "-latest", "@001")
)
variants = st.sampled_from(
    ("", ":free", ":beta", ":nitro", ":thinking", "-v1:0", "-v1:0:200k", "-eu")
)
regions = st.sampled_from(("", "us.", "eu.", "apac.", "global.", "us-gov."))
paths = st.sampled_from(
    (
        "",
        "openrouter/",
        "models/",
        "bedrock/us-east-1/",
        "accounts/fireworks/models/",
        "publishers/x/models/",
    )
)
hosts = st.sampled_from(("", "openrouter", "azure", "Bedrock", "vertex_ai", "my-gateway"))
without_build = [
    each
    for each in known_models()
    if not (read_name(each.model_id).date or read_name(each.model_id).version)
    and read_name(each.model_id).family == each.provider
]


@given(
    st.sampled_from(without_build),
    dates,
    variants,
    st.tuples(regions, paths, hosts),
    st.sampled_from((str, str.upper, lambda name: name.replace("-", "_"))),
)
def test_a_decorated_name_still_means_the_model(
    off: ModelConfig,
    date: str,
    variant: str,
    place: tuple[str, str, str],
    spell: Callable[[str], str],
) -> None:
    region, path, host = place
    if ":" in off.model_id:  # has a version of its own
        variant = ""
    name = f"{path}{region}{spell(off.model_id.replace('-latest', ''))}{date}{variant}"
    killed = index(off.model_id, known_models()).killed(name, host)
    assert killed is not None
    assert killed.model.model_id == off.model_id


@given(st.text(max_size=300), st.text(max_size=40))
@example("/" * MAX_NAME, "")
@example(":" * MAX_NAME, "")
@example("ft:", "")
@example("us.anthropic.", "")
@example("٣-٤", "")
def test_every_text_can_be_read(name: str, provider: str) -> None:
    read = read_name(name)
    assert read.words
    assert read == read_name(name)
    assert ModelIndex(SHIPPED).find_alias(name, provider) in (None, *SHIPPED)


@pytest.mark.parametrize(("count", "is_read"), [(MAX_TOKENS, True), (MAX_TOKENS + 1, False)])
def test_a_name_of_too_many_tokens_is_one_word(count: int, is_read: bool) -> None:
    name = "-".join(["gpt", *"abcdefghij" * 4][:count])
    assert (len(read_name(name).words) > 1) == is_read


def test_characters_beyond_the_bound_are_not_read() -> None:
    within = "x" * (MAX_NAME - 2) + "-y"
    assert read_name(within) == read_name(within + "z")
    assert read_name(within[1:]) != read_name(within[1:] + "z")


@pytest.mark.parametrize(
    ("first", "second", "agree"),
    [
        ("20250806", "20250806", True),
        ("20250806", "0806", True),
        ("20250806", "2508", True),
        ("20250806", "202508", True),
        ("20250806", "250806", True),
        ("20250806", "20250807", False),
        ("20250806", "0807", False),
        ("2411", "2407", False),
        ("202508", "202509", False),
    ],
)
def test_dates_of_builds_agree(first: str, second: str, agree: bool) -> None:
    assert dates_agree(first, second) is agree
    assert dates_agree(second, first) is agree


@pytest.mark.parametrize(
    ("number", "is_date"),
    [
        ("20190101", True),
        ("20180101", False),
        ("20391231", True),
        ("20400101", False),
        ("20251301", False),
        ("20251232", False),
        ("1231", True),
        ("1232", False),
        ("3912", True),
        ("4012", False),
        ("250806", True),
        ("251306", False),
    ],
)
def test_digits_are_a_date_within_bounds(number: str, is_date: bool) -> None:
    assert bool(read_name(f"gpt-4o-{number}").date) is is_date


@pytest.mark.parametrize(
    ("name", "provider", "is_host"),
    [
        ("OpenAI", "openai", False),
        ("x-ai", "xai", False),
        ("vertex_ai", "vertex", True),
        ("Vertex AI", "vertex", True),
        ("Azure OpenAI", "azure", True),
        (" my gateway ", "my gateway", False),
        ("", "", False),
    ],
)
def test_a_provider_has_one_name(name: str, provider: str, is_host: bool) -> None:
    assert read_provider(name) == (provider, is_host)


def test_the_makers_of_families_are_known() -> None:
    assert {read_provider(maker).name for maker in FAMILIES.values()} == set(FAMILIES.values())


class TestCatalog:
    """What is in the catalog itself has a switch of its own."""

    def test_a_longer_name_in_the_catalog(self) -> None:
        dated = "claude-sonnet-4-5-20250929"
        models = [model("anthropic", "claude-sonnet-4-5", killed=True), model("anthropic", dated)]
        off = ModelIndex(models)
        assert off.killed(dated, "anthropic") is None
        assert off.killed(f"us.anthropic.{dated}-v1:0", "bedrock") is None
        assert off.killed("claude-sonnet-4-5-20251130", "anthropic") is not None

    def test_a_shorter_name_in_the_catalog(self) -> None:
        models = [model("openai", "gpt-4o-2024-08-06", killed=True), model("openai", "gpt-4o")]
        off = ModelIndex(models)
        assert off.killed("gpt-4o", "azure") is None
        assert off.killed("gpt-4o-2024-11-20", "openai") is None
        assert off.killed("gpt-4o-2024-08-06", "azure") is not None

    def test_a_shorter_name_outside_the_catalog(self) -> None:
        """It may stand for the build that is off."""
        models = [model("openai", "gpt-4o-2024-08-06", killed=True), model("openai", "o3")]
        off = ModelIndex(models)
        assert off.killed("gpt-4o", "azure") is not None
        assert off.killed("gpt-4o-2024-11-20", "azure") is None

    def test_a_preview_that_is_off_does_not_stop_the_release(self) -> None:
        models = [model("google", "gemini-3-pro-preview", killed=True), model("google", "x")]
        off = ModelIndex(models)
        assert off.killed("gemini-3-pro", "google") is None
        assert off.killed("gemini-3-pro-preview-11-2025", "vertex_ai") is not None

    def test_the_model_of_one_host(self) -> None:
        models = [model("azure", "gpt-4o", killed=True), model("openai", "gpt-4o")]
        off = ModelIndex(models)
        assert off.killed("gpt-4o-2024-08-06", "azure") is not None
        assert off.killed("gpt-4o-2024-08-06", "openai") is None
        assert off.killed("openai/gpt-4o", "openrouter") is None

    def test_the_model_of_the_maker_on_a_host_that_has_its_own(self) -> None:
        off = ModelIndex([model("azure", "gpt-4o"), model("openai", "gpt-4o", killed=True)])
        assert off.killed("gpt-4o-2024-08-06", "azure") is None
        assert off.killed("openai/gpt-4o", "openrouter") is not None

    def test_a_provider_under_another_of_its_names(self) -> None:
        off = ModelIndex([model("google", "gemini-9", killed=True), model("gemini", "gemini-8")])
        assert off.killed("new", "vertex_ai") is None
        assert off.killed("google/new", "openrouter") is None  # not all of Google's models are off
        both = ModelIndex([model("google", "a", killed=True), model("gemini", "b", killed=True)])
        assert both.killed("google/new", "openrouter") is not None

    def test_the_names_that_a_switch_covers(self) -> None:
        names = ["gpt-4o-2024-08-06", "openai/gpt-4o", "gpt-4o-mini-2024-07-18", "nothing"]
        gpt, mini = model("openai", "gpt-4o"), model("openai", "gpt-4o-mini-2024-07-18")
        covered = ModelIndex([gpt, mini]).covered(names)
        assert covered == {
            gpt.id: ["gpt-4o", "openai/gpt-4o", "gpt-4o-2024-08-06"],
            mini.id: ["gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini-2024-07-18"],
        }
