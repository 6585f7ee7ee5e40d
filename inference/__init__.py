"""A trained model applied to narrations, or to texts and images of one's own."""

from inference.resolution import Resolution
from inference.resolver import Resolver

__all__ = ["Resolution", "Resolver"]
