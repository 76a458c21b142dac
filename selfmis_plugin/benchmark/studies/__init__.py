"""What a model of single leads can do: questions about a checkpoint, answered beside controls."""
