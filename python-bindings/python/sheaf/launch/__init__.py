"""Clusters of Sheaf inside other systems' clusters: ``sheaf.launch.ray``."""
