"""Keys of a proxy without a database: a YAML file of their hashes, and who may use which."""

from agentllm.keys.file import KeyFile
from agentllm.keys.key import MASTER_USER, Key, hash_of, make_key, table
from agentllm.keys.ring import KeyRing

__all__ = ["MASTER_USER", "Key", "KeyFile", "KeyRing", "hash_of", "make_key", "table"]
