"""How inputs meet a matrix: convolutions, grouped ones, equations; and the margins around inputs."""
