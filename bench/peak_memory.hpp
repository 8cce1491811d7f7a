#pragma once
/// What the operating system counts as this process's memory (Linux).
#include <malloc.h>

#include <fstream>
#include <string>

namespace bench {

/// Bytes of pages in memory now ("VmRSS") or at most since the last reset ("VmHWM").
inline double process_memory(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.compare(0, name.size() + 1, name + ":") == 0) return 1024 * std::stod(line.substr(name.size() + 1));
  return 0;
}

/// How much more memory `work` holds at its peak than the process does before it.
template <class F>
double peak_memory(const F& work) {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak is now
  const double before = process_memory("VmRSS");
  work();
  return process_memory("VmHWM") - before;
}

}  // namespace bench
