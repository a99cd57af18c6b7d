"""Networks of PyTorch: ours, and files that hold yours."""
