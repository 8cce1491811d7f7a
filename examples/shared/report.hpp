#pragma once
#include <attend/io/file.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

/// "%.2f" as a string.
inline std::string number(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

/// Makes the output folder, and finds out now, not after the training, whether it can be written.
inline void prepare_output(const char* program, const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  attend::require<attend::FileError>(!error, program,
                                     [&] { return folder.string() + " cannot be made: " + error.message(); });
  const auto probe = folder / ".writable";
  attend::write_file({program, probe}, "");
  std::filesystem::remove(probe, error);
}

/// Mean and sample deviation.
struct Spread {
  double mean = 0, deviation = 0;
  explicit Spread(const std::vector<double>& values) {
    for (const double v : values) mean += v / double(values.size());
    for (const double v : values) deviation += (v - mean) * (v - mean) / std::max(1.0, double(values.size()) - 1);
    deviation = std::sqrt(deviation);
  }
  std::string text(const char* format = "%.2f") const {
    return number(format, mean) + " ± " + number(format, deviation);
  }
};
