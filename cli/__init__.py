"""The `ptq` command: words on the terminal and exit codes; no arithmetic, no ONNX. Imported as `ptq_cli`."""
