"""What happens to a run folder: training, scoring, scoring again."""
