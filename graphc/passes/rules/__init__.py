"""Rules of simplify and stabilize, by what they are about."""
