"""What a run is and keeps."""
