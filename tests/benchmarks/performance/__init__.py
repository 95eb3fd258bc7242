"""What `all.py` measures, with which contenders, and how its tables get into the documentation."""
