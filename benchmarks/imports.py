"""What no tool that runs a model of transformers can do without: ``python -m benchmarks.imports`` only imports it."""

from importlib import import_module

if __name__ == "__main__":
    import_module("transformers.models.llama.modeling_llama")
    print("{}")
