#pragma once
#include <exception>
#include <iostream>

/// A program's main: what `run` returns, or 1 after the message of what it throws.
inline int run_program(const char* name, int (*run)(int, char**), int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << name << ": " << e.what() << "\n";
    return 1;
  }
}
