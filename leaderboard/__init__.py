"""The static leaderboard: results files in, one HTML page out."""
