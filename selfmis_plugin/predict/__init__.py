"""Trained classifiers at work: model folders, strips of single recordings, ONNX."""
