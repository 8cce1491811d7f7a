#pragma once
/// ATTEND_INLINE marks what a loop must contain to be fast: vector functions, and what it calls once per element.
#if defined(__GNUC__) || defined(__clang__)
#define ATTEND_INLINE inline __attribute__((always_inline))
#elif defined(_MSC_VER)
#define ATTEND_INLINE __forceinline
#else
#define ATTEND_INLINE inline
#endif
