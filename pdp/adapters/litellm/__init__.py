"""LiteLLM's generic guardrail: `POST /beta/litellm_basic_guardrail_api`."""
