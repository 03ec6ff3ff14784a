"""Search in a gallery of photos: index, queries, calibration, appearance of a tracker."""
