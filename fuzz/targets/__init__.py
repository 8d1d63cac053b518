"""What is fuzzed, one module for each target: `Target(folder)` has `draw(draws)` and `run(content, folder)`."""
