"""What models are asked to do: a task plans requests, checks answers, and makes samples of them, by pure functions."""
