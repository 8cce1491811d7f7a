#pragma once
/// Which instruction set the kernels use. Every kernel is compiled for each of them in the user's own translation unit,
/// whatever its flags (simd/for_each_isa.hpp), and this page picks one at run time: the widest that the processor and the
/// operating system have, or the one that the environment variable ATTEND_ISA names (base, avx2, avx512).
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "attend/core/error.hpp"
#include "attend/core/inline.hpp"

/// What the translation unit's own flags allow: 0 the architecture's baseline, 2 AVX2 and FMA, 3 AVX-512 (F, DQ, BW, VL).
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__) && defined(__AVX512VL__) && \
    defined(__AVX2__) && defined(__FMA__)
#define ATTEND_BASE_LEVEL 3
#elif defined(__AVX2__) && defined(__FMA__)
#define ATTEND_BASE_LEVEL 2
#else
#define ATTEND_BASE_LEVEL 0
#endif
/// The widest that is compiled beyond it. Without the compilers' per-function targets, or with ATTEND_BASELINE_ONLY
/// defined (it must be so in all of a program's units, or in none), the baseline alone.
#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__) && !defined(ATTEND_BASELINE_ONLY)
#define ATTEND_TOP_LEVEL 3
#else
#define ATTEND_TOP_LEVEL ATTEND_BASE_LEVEL
#endif

ATTEND_BEGIN

/// In order: each has all of the ones before it.
enum class Isa { base, avx2, avx512 };

inline const char* to_string(Isa isa) { return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "base"; }

namespace detail {

/// The compile-time baseline, by name.
constexpr Isa lowest_isa = ATTEND_BASE_LEVEL == 3 ? Isa::avx512 : ATTEND_BASE_LEVEL == 2 ? Isa::avx2 : Isa::base;

inline Isa widest_isa() {
#if ATTEND_TOP_LEVEL > ATTEND_BASE_LEVEL
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl"))
    return Isa::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
  return lowest_isa;
}

/// What `wanted` names, which is what the processor has if nothing is wanted. A unit compiled for a wider set than the
/// named one has no narrower kernels.
inline Isa pick_isa(const char* wanted) {
  const Isa widest = widest_isa();
  if (!wanted || !*wanted) return widest;
  for (const Isa isa : {Isa::base, Isa::avx2, Isa::avx512})
    if (std::strcmp(wanted, to_string(isa)) == 0) {
      require<OptionError>(isa >= lowest_isa && isa <= widest, "ATTEND_ISA", [&] {
        return message("the environment asks for ", wanted, "; this program has kernels from ", lowest_isa,
                       " up, and this processor runs up to ", widest);
      });
      return isa;
    }
  throw OptionError("ATTEND_ISA",
                    "the environment says \"" + std::string(wanted) + "\"; it must be base, avx2 or avx512");
}

}  // namespace detail

/// The instruction set that the kernels use in this program, decided at the first use. Throws OptionError if ATTEND_ISA
/// names one that does not exist here.
ATTEND_OUT_OF_LINE inline Isa instruction_set() {
#if ATTEND_TOP_LEVEL > ATTEND_BASE_LEVEL
  static const Isa isa = detail::pick_isa(std::getenv("ATTEND_ISA"));
  return isa;
#else
  return detail::lowest_isa;
#endif
}

ATTEND_END

/// Runs `call` (a kernel's name and arguments) in the namespace of the instruction set that was picked.
#if ATTEND_BASE_LEVEL == ATTEND_TOP_LEVEL
#define ATTEND_PICK(...) return base::__VA_ARGS__
#elif ATTEND_BASE_LEVEL == 2
#define ATTEND_PICK(...)                                            \
  if (instruction_set() == Isa::avx512) return avx512::__VA_ARGS__; \
  return base::__VA_ARGS__
#else
#define ATTEND_PICK(...)                              \
  const Isa isa = instruction_set();                  \
  if (isa == Isa::avx512) return avx512::__VA_ARGS__; \
  if (isa == Isa::avx2) return avx2::__VA_ARGS__;     \
  return base::__VA_ARGS__
#endif

/// Declares a template on the scalar alone as compiled in another unit of the program for float and double, if
/// ATTEND_COMPILED is defined (attend/compiled.hpp): one that is compiled once, that of one instruction set, or a kernel of
/// all.
#if !defined(ATTEND_COMPILED)
#define ATTEND_COMPILED_TEMPLATE(...)
#elif defined(ATTEND_COMPILED_HERE)
#define ATTEND_COMPILED_TEMPLATE(...)                       \
  template decltype(__VA_ARGS__<float>) __VA_ARGS__<float>; \
  template decltype(__VA_ARGS__<double>) __VA_ARGS__<double>;
#else
#define ATTEND_COMPILED_TEMPLATE(...)                              \
  extern template decltype(__VA_ARGS__<float>) __VA_ARGS__<float>; \
  extern template decltype(__VA_ARGS__<double>) __VA_ARGS__<double>;
#endif
#if ATTEND_BASE_LEVEL == ATTEND_TOP_LEVEL
#define ATTEND_COMPILED_KERNEL(...) ATTEND_COMPILED_TEMPLATE(base::__VA_ARGS__)
#elif ATTEND_BASE_LEVEL == 2
#define ATTEND_COMPILED_KERNEL(...) \
  ATTEND_COMPILED_TEMPLATE(base::__VA_ARGS__) ATTEND_COMPILED_TEMPLATE(avx512::__VA_ARGS__)
#else
#define ATTEND_COMPILED_KERNEL(...)           \
  ATTEND_COMPILED_TEMPLATE(base::__VA_ARGS__) \
  ATTEND_COMPILED_TEMPLATE(avx2::__VA_ARGS__) \
  ATTEND_COMPILED_TEMPLATE(avx512::__VA_ARGS__)
#endif

/// Makes `entry`, a kernel's entry: the function of that name in the namespace of the picked instruction set, found from
/// the arguments, or of a scalar type that the caller names. An object, not a function: a kernel that calls another by its
/// name means the one of its own instruction set, and argument-dependent lookup finds no objects.
#define ATTEND_DISPATCH_AS(entry, ...)                                 \
  struct entry##_entry {                                               \
    template <class... Arguments>                                      \
    ATTEND_INLINE auto operator()(Arguments&&... arguments) const {    \
      ATTEND_PICK(__VA_ARGS__(std::forward<Arguments>(arguments)...)); \
    }                                                                  \
  };                                                                   \
  inline constexpr entry##_entry entry{};
/// The same for templates on the scalar alone.
#define ATTEND_DISPATCH(name)  \
  ATTEND_COMPILED_KERNEL(name) \
  ATTEND_DISPATCH_AS(name, name)
/// For a function that stands in a namespace inside that of the instruction set; ATTEND_COMPILED_KERNEL(space::name) cannot
/// stand in such a namespace itself.
#define ATTEND_DISPATCH_IN(space, name) ATTEND_DISPATCH_AS(name, space::name)
#define ATTEND_DISPATCH_OF(name)                                    \
  ATTEND_COMPILED_KERNEL(name)                                      \
  template <class S>                                                \
  struct name##_entry {                                             \
    template <class... Arguments>                                   \
    ATTEND_INLINE auto operator()(Arguments&&... arguments) const { \
      ATTEND_PICK(name<S>(std::forward<Arguments>(arguments)...));  \
    }                                                               \
  };                                                                \
  template <class S>                                                \
  inline constexpr name##_entry<S> name{};
