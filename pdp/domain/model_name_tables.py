"""Facts about the names that providers and hosts give to models: the data of `model_names`.

The facts are from the public model lists of OpenAI, Anthropic, Google, Mistral, Meta, xAI, Cohere,
DeepSeek and Alibaba, and of Azure, Bedrock, Vertex AI, OpenRouter, Together, Fireworks, Groq,
Databricks, Ollama and Hugging Face.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


def _by_alias(names: Mapping[str, str]) -> dict[str, str]:
    """Returns a mapping from each alias, and each name itself, to the name."""
    by_alias = {alias: name for name, aliases in names.items() for alias in aliases.split()}
    return by_alias | {name: name for name in names}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VENDORS: Final = _by_alias(
    {
        "ai21": "ai21-labs ai21labs",
        "alibaba": "qwen alicloud aliyun dashscope tongyi alibaba-cloud",
        "amazon": "amazon-nova",
        "anthropic": "claude anthropic-ai",
        "cohere": "cohere-chat cohere-ai cohereforai coherelabs",
        "deepseek": "deepseek-ai deepseekai",
        "google": "gemini google-ai google-ai-studio googleai google-genai google-gemini "
        "palm google-deepmind",
        "meta": "meta-llama metallama meta-ai facebook",
        "microsoft": "",
        "mistral": "mistralai mistral-ai",
        "moonshot": "moonshotai moonshot-ai",
        "nvidia": "",
        "openai": "open-ai text-completion-openai chat-openai",
        "perplexity": "pplx perplexity-ai",
        "xai": "x-ai grok",
        "zai": "z-ai zhipu zhipuai zai-org",
    }
)
"""Companies that make models, by each name that is in use for them."""

HOSTS: Final = _by_alias(
    {
        "aihubmix": "",
        "anyscale": "",
        "azure": "azure-openai azureopenai azure-ai azure-ai-foundry azure-foundry azureml "
        "azure-ai-inference microsoft-foundry ms-azure azure-text azure-ai-studio",
        "baseten": "",
        "bedrock": "aws aws-bedrock amazon-bedrock bedrock-converse bedrock-runtime converse "
        "converse-like invoke bedrock-mantle",
        "cerebras": "",
        "clarifai": "",
        "cloudflare": "cf @cf @hf workers-ai cloudflare-workers-ai cloudflare-ai-gateway",
        "crusoe": "",
        "databricks": "",
        "deepinfra": "",
        "featherless": "featherless-ai",
        "fireworks": "fireworks-ai fireworksai",
        "friendli": "friendliai",
        "github": "github-models github-copilot copilot",
        "gmi": "gmi-cloud",
        "gradient-ai": "digitalocean",
        "groq": "groqcloud",
        "heroku": "",
        "huggingface": "hugging-face hf hf-inference",
        "hyperbolic": "",
        "lambda": "lambda-ai lambdalabs",
        "litellm": "litellm-proxy",
        "lm-studio": "lmstudio",
        "nebius": "nebius-ai",
        "novita": "novita-ai",
        "nscale": "",
        "nvidia-nim": "nim",
        "oci": "oracle oci-genai oracle-cloud",
        "ollama": "ollama-chat ollama-cloud",
        "openrouter": "open-router",
        "ovhcloud": "ovh",
        "poe": "",
        "portkey": "",
        "replicate": "",
        "requesty": "",
        "sagemaker": "amazon-sagemaker aws-sagemaker",
        "sambanova": "",
        "sap": "sap-ai-core aicore",
        "scaleway": "",
        "siliconflow": "",
        "snowflake": "snowflake-cortex cortex",
        "together": "togetherai together-ai together-compute",
        "vercel": "vercel-ai-gateway ai-gateway",
        "vertex": "vertex-ai vertexai vertex-ai-beta google-vertex google-vertex-ai gcp "
        "google-cloud google-vertexai vertex-ai-anthropic google-vertex-anthropic",
        "vllm": "hosted-vllm",
        "wandb": "",
        "watsonx": "ibm watsonx-ai ibm-watsonx",
    }
)
"""Companies and programs that serve models of others, by each name that is in use for them."""

HOSTING_VENDORS: Final = frozenset({"alibaba", "amazon", "google", "microsoft", "nvidia"})
"""Companies that make models and also serve those of others under the same name."""

FAMILIES: Final[Mapping[str, str]] = {
    family: vendor
    for vendor, families in {
        "ai21": "jamba",
        "alibaba": "qwen qwq qvq",
        "amazon": "nova titan",
        "anthropic": "claude",
        "cohere": "command embed rerank aya",
        "deepseek": "deepseek",
        "google": "gemini gemma imagen veo",
        "meta": "llama codellama",
        "microsoft": "phi",
        "mistral": "mistral mixtral ministral codestral pixtral magistral devstral voxtral",
        "moonshot": "kimi",
        "openai": "gpt chatgpt o codex dall whisper sora",
        "perplexity": "sonar",
        "xai": "grok",
        "zai": "glm",
    }.items()
    for family in families.split()
}
"""The company that makes a family of models, by the first word of the family's names."""

NUMBERED_FAMILIES: Final = frozenset({"o"})
"""Families whose first word is no word without its number: o1, o3."""

PREFIXED_FAMILIES: Final = frozenset({"deepseek"})
"""Vendors whose name is also the first word of their models, and which hosts leave out there:
Bedrock has `deepseek.r1-v1:0`."""

OPEN_PREFIX: Final = "open"
"""Mistral's own API has `open-mixtral-8x7b`."""

PATH_MARKERS: Final = _words(
    "models model tunedmodels deployments engines foundation-model inference-profile custom-model "
    "application-inference-profile provisioned-model imported-model"
)
"""Parts of a path that come before the model: `publishers/google/models/gemini-2.5-pro`."""

PATH_WORDS: Final = _words(
    "accounts projects locations publishers registries azureml: openai-api v1 v1beta"
)
"""Parts of a path that are no company."""

REGIONS: Final = _words("us eu apac ap jp au ca sa me af uk in global us-gov ug uk ge")
"""Prefixes of inference profiles: `us.anthropic.claude-…`."""

REGION_SUFFIXES: Final = frozenset({"us", "eu", "apac", "global"})

PREVIEW_WORDS: Final = frozenset({"preview", "exp", "experimental", "beta", "alpha"})

TUNED_WORDS: Final = frozenset({"it", "instruct", "versatile", "instant"})
"""Words for the chat form of an open model; `versatile` and `instant` are Groq's."""

TUNED_EXCEPT: Final = frozenset({"gpt"})
"""`gpt-3.5-turbo-instruct` is not `gpt-3.5-turbo`."""

SERVING_WORDS: Final = _words(
    "default maas hf basic gguf ggml awq gptq mlx bnb cloud nim reference qat tput dynamic"
)
"""Words that say how a model is served or stored, and not which it is."""

SERVING_AFTER_TUNED: Final = _words("turbo lite free fast throughput optimized")
"""The same, if they come after one of `TUNED_WORDS`: Together's `…-Instruct-Turbo`."""

EFFORT_WORDS: Final = frozenset({"high", "low", "xhigh", "minimal"})
"""Levels of effort at the end of a name: OpenRouter's `o3-mini-high`."""

EFFORT_FAMILIES: Final = frozenset({"gpt", "o", "grok"})

CONTEXT_LENGTHS: Final = frozenset({"4096", "8192", "16384", "32768", "65536", "131072"})
"""Lengths of the context: Groq's `llama3-8b-8192`."""

GPT_GENERATIONS: Final[Mapping[str, str]] = {"35": "3.5", "41": "4.1", "45": "4.5"}
"""Azure's names have no dots: `gpt-35-turbo`."""

IMPLIED_SIZES: Final[Mapping[tuple[tuple[str, ...], str], frozenset[str]]] = {
    (("llama", "maverick"), "4"): frozenset({"17b", "128e", "16e"}),
    (("llama", "scout"), "4"): frozenset({"17b", "16e"}),
    (("llama",), "3.3"): frozenset({"70b"}),
    (("deepseek", "r"), "1"): frozenset({"671b"}),
    (("deepseek",), "3"): frozenset({"671b"}),
    (("deepseek",), "3.1"): frozenset({"671b"}),
    (("command", "r"), ""): frozenset({"35b", "32b"}),
    (("command", "plus", "r"), ""): frozenset({"104b"}),
    (("a", "command"), ""): frozenset({"111b"}),
}
"""Sizes of models that exist in one size only, so that names leave the size out: by the sorted
words of the name and the generation."""
