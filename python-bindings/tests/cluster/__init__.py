"""Tests of tasks, actors and objects. Those of all files but `test_sheaf_only.py` hold for Ray 2.60 as well."""
