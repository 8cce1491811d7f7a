#pragma once
/// Every header opens the library's namespace with ATTEND_BEGIN and closes it with ATTEND_END. The inline namespace between
/// names the version, Eigen's alignment and the instruction set of the translation unit, so that two units compiled with
/// different `-m` flags each keep their own code, and passing a library type between them is a link error, not a crash.
#include <Eigen/Core>

#if defined(__AVX512F__)
#define ATTEND_ISA_TAG avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define ATTEND_ISA_TAG avx2
#elif defined(__AVX__)
#define ATTEND_ISA_TAG avx
#else
#define ATTEND_ISA_TAG base
#endif

#define ATTEND_JOIN_EXPANDED(a, b, c) a##_##b##_align##c
#define ATTEND_JOIN(a, b, c) ATTEND_JOIN_EXPANDED(a, b, c)

#define ATTEND_BEGIN \
  namespace attend { \
  inline namespace ATTEND_JOIN(v0, ATTEND_ISA_TAG, EIGEN_MAX_ALIGN_BYTES) {
#define ATTEND_END \
  }                \
  }

/// The same for what is compiled once for each instruction set (simd/for_each_isa.hpp).
#define ATTEND_BEGIN_ISA                                                                    \
  ATTEND_BEGIN                                                                              \
  namespace detail {}                                                                       \
  namespace ATTEND_ISA {                                                                    \
  namespace detail {                                                                        \
  using namespace ::attend::detail; /* what is common to all stays reachable by detail:: */ \
  }
#define ATTEND_END_ISA \
  }                    \
  ATTEND_END
