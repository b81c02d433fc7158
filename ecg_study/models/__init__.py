"""Model folders on disk: card, Keras model and ONNX form."""
