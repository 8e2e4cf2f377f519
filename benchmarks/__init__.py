"""Speed against named peers on the same work, as ratios from one run; `make bench` runs all."""
