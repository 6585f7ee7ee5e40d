"""Detectors and encoders that describe regions of images and heads in videos."""
