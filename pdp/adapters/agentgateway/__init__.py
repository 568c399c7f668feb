"""agentgateway: the webhook of its prompt guard, and its guardrails for MCP."""
