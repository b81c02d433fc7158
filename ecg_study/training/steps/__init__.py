"""Training step by step: budget, learning rate, validation, and a state on disk from which a training resumes."""
