"""Write a matrix into arrays: the record of what cells and converters of a chip hold."""
