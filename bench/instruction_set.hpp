#pragma once
/// Which vectors the calibration loops use: those the library uses, found without asking the library.
#include <immintrin.h>

#include <cstdlib>
#include <string>

namespace bench {

enum class InstructionSet { base, avx2, avx512 };

/// The widest of this processor, or a narrower one that the environment variable ATTEND_ISA names.
inline InstructionSet instruction_set() {
  static const InstructionSet chosen = [] {
    InstructionSet best = InstructionSet::base;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = InstructionSet::avx2;
    if (best == InstructionSet::avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
      best = InstructionSet::avx512;
    const char* named = std::getenv("ATTEND_ISA");
    const std::string name = named ? named : "";
    if (name == "base") return InstructionSet::base;
    if (name == "avx2" && best == InstructionSet::avx512) return InstructionSet::avx2;
    return best;
  }();
  return chosen;
}
inline const char* name_of(InstructionSet set) {
  return set == InstructionSet::avx512 ? "avx512" : set == InstructionSet::avx2 ? "avx2" : "base";
}

}  // namespace bench
