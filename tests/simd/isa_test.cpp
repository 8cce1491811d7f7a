#include "attend/simd/isa.hpp"

#include <gtest/gtest.h>

#include "attend/simd/vector.hpp"
#include "error_of.hpp"

namespace isa_test {
using namespace attend;

namespace {

TEST(InstructionSet, is_the_widest_unless_the_environment_names_another) {
  const Isa widest = detail::widest_isa();
  EXPECT_EQ(detail::pick_isa(nullptr), widest);
  EXPECT_EQ(detail::pick_isa(""), widest);
  for (const Isa isa : {Isa::base, Isa::avx2, Isa::avx512})
    if (isa >= detail::lowest_isa && isa <= widest) {
      EXPECT_EQ(detail::pick_isa(to_string(isa)), isa);
    }
  if (const char* wanted = std::getenv("ATTEND_ISA")) {
    EXPECT_STREQ(to_string(instruction_set()), wanted);
  }
}

TEST(InstructionSet, an_unknown_name_and_one_that_the_processor_lacks_are_refused) {
  EXPECT_EQ(error_of([] { detail::pick_isa("sse9"); }),
            "[ATTEND_ISA] the environment says \"sse9\"; it must be base, avx2 or avx512");
  if (detail::widest_isa() < Isa::avx512) {
    EXPECT_NE(error_of([] { detail::pick_isa("avx512"); }).find("this processor runs up to"), std::string::npos);
  }
  if (detail::lowest_isa > Isa::base) {
    EXPECT_NE(error_of([] { detail::pick_isa("base"); }).find("this program has kernels from"), std::string::npos);
  }
}

// In one unit without flags each set has vectors of its own width.
TEST(InstructionSet, each_has_its_own_vectors) {
  EXPECT_EQ(base::simd::lanes<float>, ATTEND_BASE_LEVEL == 3 ? 16 : ATTEND_BASE_LEVEL == 2 ? 8 : 4);
#if ATTEND_BASE_LEVEL < 2 && ATTEND_TOP_LEVEL >= 2
  EXPECT_EQ(avx2::simd::lanes<float>, 8);
  EXPECT_EQ(avx2::simd::lanes<double>, 4);
#endif
#if ATTEND_BASE_LEVEL < 3 && ATTEND_TOP_LEVEL >= 3
  EXPECT_EQ(avx512::simd::lanes<float>, 16);
  EXPECT_EQ(avx512::simd::lanes<double>, 8);
#endif
}

}  // namespace
}  // namespace isa_test
