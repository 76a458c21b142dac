"""What ``selfmis demo`` runs."""
