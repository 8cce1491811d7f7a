// Compiled once for the precompiled header of all tests.
