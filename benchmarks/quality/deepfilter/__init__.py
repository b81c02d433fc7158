"""DeepFilter's benchmark: baseline wander of beats of the QT database."""
