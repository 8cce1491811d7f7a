#pragma once
#include <cstdlib>
#include <filesystem>
#include <optional>

#ifndef ATTEND_SOURCE_DIR
#define ATTEND_SOURCE_DIR "."
#endif

/// A file or folder of the shared data: below $ATTEND_DATA, else below shared/data beside the source folder; nothing if
/// it is in neither place (the test then says so and skips).
inline std::optional<std::filesystem::path> shared_data(const char* relative) {
  if (const char* folder = std::getenv("ATTEND_DATA")) {
    const auto path = std::filesystem::path(folder) / relative;
    if (std::filesystem::exists(path)) return path;
  }
  const auto path = std::filesystem::path(ATTEND_SOURCE_DIR) / ".." / "shared" / "data" / relative;
  if (std::filesystem::exists(path)) return path;
  return std::nullopt;
}
