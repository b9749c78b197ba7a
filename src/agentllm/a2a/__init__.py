"""Agents as A2A agents, and a client for them. Only this package imports a2a-sdk, which the extra `a2a` installs."""
