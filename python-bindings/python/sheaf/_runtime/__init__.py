"""The Python front of the runtime: Ray's names over the node and head that run inside this process.

``api`` is what users call; ``process`` is what this process is; ``worker`` and ``zygote`` are what runs elsewhere.
"""
