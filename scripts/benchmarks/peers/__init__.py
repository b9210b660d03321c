"""How each library compiles and calls a program, one file for each."""
