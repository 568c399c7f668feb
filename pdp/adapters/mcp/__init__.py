"""The MCP proxy: stands between a client and a server of the Model Context Protocol."""
