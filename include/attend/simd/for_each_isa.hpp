/// No guard: includes the file that ATTEND_KERNELS names once for each instruction set, with
///
///     ATTEND_ISA     the namespace: base (what the unit's flags allow), avx2, avx512
///     ATTEND_LEVEL   0 baseline (SSE2, NEON, or the compiler's own vectors), 2 AVX2 and FMA, 3 AVX-512 (F, DQ, BW, VL)
///
/// What stands inside is compiled for that set: so nothing but kernels stands inside, all else is included before. A
/// header with kernels has this form:
///
///     #ifndef ATTEND_KERNELS_SOFTMAX
///     #define ATTEND_KERNELS_SOFTMAX
///     #include ...                                            // also the kernels that these kernels call
///     #define ATTEND_KERNELS "attend/kernels/softmax.hpp"     // this file
///     #include "attend/simd/for_each_isa.hpp"
///     ATTEND_BEGIN
///     ATTEND_DISPATCH(softmax_forward)                        // the entry, outside
///     ATTEND_END
///     #elif defined(ATTEND_ISA)
///     ATTEND_BEGIN_ISA
///     ...
///     ATTEND_END_ISA
///     #endif
///
/// (K. Simonyi and others, Google Highway 2019, compile a file so too.)
#include "attend/simd/isa.hpp"

#ifdef ATTEND_KERNELS
#define ATTEND_ISA base
#define ATTEND_LEVEL ATTEND_BASE_LEVEL
#include ATTEND_KERNELS
#undef ATTEND_ISA
#undef ATTEND_LEVEL

#if ATTEND_BASE_LEVEL < 2 && ATTEND_TOP_LEVEL >= 2
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define ATTEND_ISA avx2
#define ATTEND_LEVEL 2
#include ATTEND_KERNELS
#undef ATTEND_ISA
#undef ATTEND_LEVEL
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

#if ATTEND_BASE_LEVEL < 3 && ATTEND_TOP_LEVEL >= 3
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
#endif
#define ATTEND_ISA avx512
#define ATTEND_LEVEL 3
#include ATTEND_KERNELS
#undef ATTEND_ISA
#undef ATTEND_LEVEL
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

#undef ATTEND_KERNELS
#endif
