"""What a study found: kept, read and summed up."""
