"""What a step is: optimizer, schedules, gradients, hardware, FLOPs."""
