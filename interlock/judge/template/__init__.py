"""What templates owe to those who use them, by subject; `interlock.judge.templates` has all of it in one place."""
