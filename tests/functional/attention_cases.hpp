#pragma once
/// Shapes and masks that the attention tests run over.
#include <cmath>
#include <cstring>

#include "attend/functional/attention.hpp"
#include "attend/testing/gradient_check.hpp"

namespace attention_cases {
using namespace attend;
using attend::testing::random_tensor;
using T4 = Tensor<double, 4>;

template <class A, class B>
bool same_bits(const A& a, const B& b) {
  return shape_of(a) == shape_of(b) &&
         (a.size() == 0 ||
          std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(*a.data())) == 0);
}
/// Largest |a - b|; NaN where one is, infinity where shapes differ.
template <class A, class B>
double difference(const A& a, const B& b) {
  if (shape_of(a) != shape_of(b)) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (Index i = 0; i < a.size(); ++i) {
    const double d = std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i]));
    if (!(d <= worst)) worst = d;
  }
  return worst;
}
template <int R>
Tensor<bool, R> random_bools(const Shape<R>& shape, std::uint64_t seed, double share) {
  Tensor<bool, R> t(shape);
  const Rng rng(seed);
  for (Index i = 0; i < t.size(); ++i) t.data()[i] = rng.uniform_at(static_cast<std::uint64_t>(i)) < share;
  return t;
}

struct Sizes {
  Index batch, queries, keys, heads, key_heads, dim, value_dim;
};
inline std::string text(const Sizes& s) {
  return "B" + std::to_string(s.batch) + " Lq" + std::to_string(s.queries) + " Lk" + std::to_string(s.keys) + " H" +
         std::to_string(s.heads) + "/" + std::to_string(s.key_heads) + " D" + std::to_string(s.dim) + "/" +
         std::to_string(s.value_dim);
}
struct Inputs {
  T4 q, k, v;
  explicit Inputs(const Sizes& s)
      : q(random_tensor<double, 4>({s.batch, s.queries, s.heads, s.dim}, 1)),
        k(random_tensor<double, 4>({s.batch, s.keys, s.key_heads, s.dim}, 2)),
        v(random_tensor<double, 4>({s.batch, s.keys, s.key_heads, s.value_dim}, 3)) {}
};

using May = std::function<bool(Index b, Index h, Index i, Index j)>;
/// A combination of masks: what the call is told, and the same as a plain predicate.
struct MaskCase {
  std::string name;
  ScaledDotProductAttentionOptions options;
  May may;
};
/// Every kind alone, and the 2^5 combinations of all kinds if `combined`.
inline std::vector<MaskCase> mask_cases(const Sizes& s, bool combined = false) {
  const Index shift = s.keys - s.queries;
  std::vector<Index> lengths;
  for (Index b = 0; b < s.batch; ++b) lengths.push_back((b * 37 + s.keys / 2) % (s.keys + 1));
  const auto full = random_bools<4>({s.batch, s.heads, s.queries, s.keys}, 5, 0.7);
  const auto rows = random_bools<4>({1, s.heads, 1, s.keys}, 6, 0.7);
  const auto shared = random_bools<2>({s.queries, s.keys}, 8, 0.6);
  const auto padding = random_bools<2>({s.batch, s.keys}, 7, 0.3);
  const May causal = [=](Index, Index, Index i, Index j) { return j <= i + shift; };
  const May shorter = [=](Index b, Index, Index, Index j) { return j < lengths[static_cast<std::size_t>(b)]; };
  const May masked = [=](Index b, Index h, Index i, Index j) { return full(b, h, i, j); };
  const May padded = [=](Index b, Index, Index, Index j) { return !padding(b, j); };
  const May windowed = [=](Index, Index, Index i, Index j) { return j <= i + shift + 2 && j >= i + shift - 5; };

  std::vector<MaskCase> cases;
  cases.push_back({"none", {}, [](Index, Index, Index, Index) { return true; }});
  cases.push_back({"top left", {.causal = Causal::top_left}, [](Index, Index, Index i, Index j) { return j <= i; }});
  cases.push_back({"bottom right", {.causal = Causal::bottom_right}, causal});
  cases.push_back({"lengths", {.keys = lengths}, shorter});
  cases.push_back({"mask", {.mask = AttendMask(full)}, masked});
  cases.push_back({"mask of heads and keys", {.mask = AttendMask(rows)}, [=](Index, Index h, Index, Index j) {
                     return rows(0, h, 0, j);
                   }});
  cases.push_back({"mask of queries and keys", {.mask = AttendMask(shared)}, [=](Index, Index, Index i, Index j) {
                     return shared(i, j);
                   }});
  cases.push_back({"padding", {.padding = PaddingMask(padding)}, padded});
  cases.push_back({"window",
                   {.causal = Causal::bottom_right, .window = {.left = 5}},
                   [=](Index, Index, Index i, Index j) { return j <= i + shift && j >= i + shift - 5; }});
  for (int bits = 3; combined && bits < 32; ++bits) {
    MaskCase both{"combination " + std::to_string(bits), {}, nullptr};
    const bool on[] = {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0, (bits & 16) != 0};
    if (on[0]) both.options.causal = Causal::bottom_right;
    if (on[1]) both.options.keys = lengths;
    if (on[2]) both.options.mask = AttendMask(full);
    if (on[3]) both.options.padding = PaddingMask(padding);
    if (on[4]) both.options.causal = Causal::bottom_right, both.options.window = {.left = 5};
    both.may = [=](Index b, Index h, Index i, Index j) {
      return (!(on[0] || on[4]) || causal(b, h, i, j)) && (!on[1] || shorter(b, h, i, j)) &&
             (!on[2] || masked(b, h, i, j)) && (!on[3] || padded(b, h, i, j)) && (!on[4] || windowed(b, h, i, j));
    };
    cases.push_back(both);
  }
  return cases;
}

}  // namespace attention_cases
