#pragma once
/// ATTEND_INLINE marks what a loop must contain to be fast: vector functions, and what it calls once per element.
/// ATTEND_INLINED marks the same of a lambda, behind its arguments.
/// ATTEND_OUT_OF_LINE marks large functions of many callers: one copy of each in the program. ATTEND_COLD marks those that
/// run when something is wrong: one copy, compiled for size, and so is the code that can only go there. ATTEND_FLATTEN
/// marks those whose loops call a user's function: all they call is made part of them, so that the loops become vector
/// code.
#if defined(__GNUC__) || defined(__clang__)
#define ATTEND_INLINE inline __attribute__((always_inline))
#define ATTEND_INLINED __attribute__((always_inline))
#define ATTEND_OUT_OF_LINE __attribute__((noinline))
#define ATTEND_COLD __attribute__((noinline, cold))
#define ATTEND_FLATTEN __attribute__((flatten))
#elif defined(_MSC_VER)
#define ATTEND_INLINE __forceinline
#define ATTEND_INLINED
#define ATTEND_OUT_OF_LINE __declspec(noinline)
#define ATTEND_COLD __declspec(noinline)
#define ATTEND_FLATTEN
#else
#define ATTEND_INLINE inline
#define ATTEND_INLINED
#define ATTEND_OUT_OF_LINE
#define ATTEND_COLD
#define ATTEND_FLATTEN
#endif
