"""How fast a training step is: forward and backward to all parameters and inputs."""
