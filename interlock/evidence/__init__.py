"""What is kept of a run, and how is it shown? One record, its details, the folder that holds them, and renderings that are pure functions of both."""
