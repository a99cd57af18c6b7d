"""What analog layers are in every framework: where parameters lie, how products run, what users choose by name."""
