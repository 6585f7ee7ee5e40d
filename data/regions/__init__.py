"""Regions of images and heads in videos: their files, read and written."""
