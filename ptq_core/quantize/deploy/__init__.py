"""The quantized model in the dialect of the runtime that will run it: the same integers, written as it takes them best."""
