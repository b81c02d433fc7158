"""What may vary: the LSTM denoiser, the GRU detector, the recurrent stack they share, and the presets.

The presets import at once; the spaces import Keras, and so are imported from their own modules where they are used.
"""

from search_spaces.presets import PRESETS, Bounds, Preset

__all__ = ["PRESETS", "Bounds", "Preset"]
