"""The linear map a core performs: a matrix product, a convolution, any batched map."""
