#pragma once
#include <algorithm>
#include <fstream>
#include <string>
#include <thread>
#ifdef __linux__
#include <sched.h>
#endif

#include "attend/core/inline.hpp"
#include "attend/core/namespace.hpp"

ATTEND_BEGIN
namespace detail {

/// The smaller of `processors` and what a quota of `quota` microseconds in each `period` pays for, rounded up.
inline int within_quota(int processors, double quota, double period) {
  if (!(quota > 0) || !(period > 0)) return processors;
  return std::max(1, static_cast<int>(std::min<double>(
                         processors, static_cast<double>(static_cast<long long>((quota + period - 1) / period)))));
}

/// Applies the processor quotas of this process's control groups (versions 1 and 2), as containers set them. `top`
/// stands before the paths of the system.
ATTEND_COLD inline int within_control_groups(int processors, const std::string& top = "") {
  std::ifstream groups(top + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t colon = line.find(':'), path = line.find(':', colon + 1);
    if (colon == std::string::npos || path == std::string::npos) continue;
    const std::string controllers = line.substr(colon + 1, path - colon - 1);
    const bool unified = controllers.empty();
    if (!unified && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    const std::string root = top + (unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu");
    for (std::string group = line.substr(path + 1);;
         group.resize(group.rfind('/'))) {  // this group and those around it
      if (group == "/") group.clear();
      double quota = 0, period = 0;
      if (unified)
        std::ifstream(root + group + "/cpu.max") >> quota >> period;  // "max 100000" leaves both at 0
      else
        std::ifstream(root + group + "/cpu.cfs_quota_us") >> quota,
            std::ifstream(root + group + "/cpu.cfs_period_us") >> period;
      processors = within_quota(processors, quota, period);
      if (group.rfind('/') == std::string::npos) break;
    }
  }
  return processors;
}

/// Processors this process may use: those of the machine, of its affinity mask, of its control groups. At least 1.
inline int usable_processors() {
  int processors = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
#ifdef __linux__
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) processors = std::max(1, CPU_COUNT(&mask));
  processors = within_control_groups(processors);
#endif
  return processors;
}

}  // namespace detail
ATTEND_END
