"""What CI has no time for: `./gpurig test --lab tests/long`."""
