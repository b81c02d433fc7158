"""Classical detectors and filters, with which the models are compared."""
