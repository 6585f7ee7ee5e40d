"""What every other folder uses: configuration, batches, boxes and files."""
