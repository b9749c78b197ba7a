"""What AgentLLM costs, measured beside the bare LiteLLM proxy and Agno's AgentOS in one run.

`python -m bench` measures and writes `bench/results.md`; `--quick` is a first look,
with one round and few tries: its figures are not to be quoted.

All servers are up for the whole run and measured in turn (A B C D A B C D …), so that a slow
minute of the machine hits all of them. An idle server uses no CPU to speak of, and memory is not
scarce; starting them one at a time would put minutes between what is compared. Memory and the
first request are measured on servers of their own.
"""
