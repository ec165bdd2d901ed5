"""Classifiers that score generated images by class, behind one small interface."""

from .base import Classifier, check_labels
from .dinov2 import DINOv2
from .fashion import FashionClassifier

__all__ = ["Classifier", "DINOv2", "FashionClassifier", "check_labels"]
