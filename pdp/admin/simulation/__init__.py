"""What-if: candidate policies, dry runs and replays. Nothing is written."""
