#pragma once
#include <CLI/CLI.hpp>
#include <cstdlib>

/// Reads the command line into what the options of `app` name. Ends the program after --help (0) or a mistake (2).
inline void parse_or_exit(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    std::exit(app.exit(e) == 0 ? 0 : 2);
  }
}
