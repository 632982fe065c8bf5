"""The flat file (`.nb`): program records, layout, writer, reader, checks, dump, reference interpreter. No ONNX here."""
