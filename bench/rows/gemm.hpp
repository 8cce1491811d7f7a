#pragma once
/// G1-G14: matrix products at the shapes of dense layers, convolutions, attention and gradients; and Eigen's products.
#include <attend/autograd/layer.hpp>
#include <attend/functional/matmul.hpp>

#include <Eigen/Core>
#include <memory>

#include "../row.hpp"

namespace bench {

struct Matmul : Layer<Matmul> {
  Side side_a, side_b;
  template <class S>
  Variable<S, 2> forward(const Variable<S, 2>& a, const Variable<S, 2>& b) const {
    return matmul(a, b, side_a, side_b);
  }
};

struct GemmCase {
  Index m, n, k;
  Side side_a = Side::plain, side_b = Side::plain;
};

struct GemmInputs {
  explicit GemmInputs(const GemmCase& given)
      : c(given),
        a(normal_tensor<2>(ta() ? Shape<2>{c.k, c.m} : Shape<2>{c.m, c.k}, 1)),
        b(normal_tensor<2>(tb() ? Shape<2>{c.n, c.k} : Shape<2>{c.k, c.n}, 2)),
        y(c.m, c.n) {}
  bool ta() const { return c.side_a == Side::transposed; }
  bool tb() const { return c.side_b == Side::transposed; }
  /// Some thousands of elements against sums in double.
  double error() const {
    Difference d;
    for (Index at = 0; at < y.size(); at += std::max<Index>(1, y.size() / 2003)) {
      const Index i = at / c.n, j = at % c.n;
      double sum = 0;
      for (Index l = 0; l < c.k; ++l) sum += double(ta() ? a(l, i) : a(i, l)) * double(tb() ? b(j, l) : b(l, j));
      d.add(double(y.data()[at]), sum);
    }
    return d.relative();
  }
  Work work(const std::shared_ptr<GemmInputs>& self, const std::function<void()>& call) const {
    return {call, [self] { return self->error(); },
            [self](SafetensorsWriter& file) {
              file.add("a", self->a).add("b", self->b).add("output", self->y);
              file.metadata("computes", "matmul").metadata("pass", "forward");
              file.metadata("transposed", self->ta() ? "a" : self->tb() ? "b" : "neither");
            }};
  }
  GemmCase c;
  Tensor<float, 2> a, b, y;
};

inline Work gemm_row(const GemmCase& c) {
  const auto s = std::make_shared<GemmInputs>(c);
  return s->work(s, [s, product = Matmul{{}, c.side_a, c.side_b}] { s->y = product(s->a, s->b); });
}
inline Work eigen_row(const GemmCase& c) {
  const auto s = std::make_shared<GemmInputs>(c);
  return s->work(s, [s] {
    using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const auto map = [](auto& t) { return Eigen::Map<Matrix>(t.data(), t.dimension(0), t.dimension(1)); };
    const auto a = map(s->a), b = map(s->b);
    auto y = map(s->y);
    if (s->ta())
      y.noalias() = a.transpose() * b;
    else if (s->tb())
      y.noalias() = a * b.transpose();
    else
      y.noalias() = a * b;
  });
}

inline Rows gemm_rows() {
  constexpr Side plain = Side::plain, turned = Side::transposed;
  const struct {
    const char *id, *what;
    GemmCase c;
  } cases[] = {
      {"G1", "512x512x512", {512, 512, 512}},
      {"G2", "512x512x512, b transposed", {512, 512, 512, plain, turned}},
      {"G3", "512x512x512, a transposed", {512, 512, 512, turned, plain}},
      {"G4", "convolution, 25088x32x288", {25088, 32, 288}},
      {"G5", "convolution, 6272x64x576", {6272, 64, 576}},
      {"G6", "convolution, 6272x64x64", {6272, 64, 64}},
      {"G7", "dense, 197x768x768", {197, 768, 768, plain, turned}},
      {"G8", "dense, 32x512x512", {32, 512, 512, plain, turned}},
      {"G9", "dense, one row, 1x512x512", {1, 512, 512}},
      {"G10", "weight gradient, 288x32x25088", {288, 32, 25088, turned, plain}},
      {"G11", "weight gradient, 768x768x197", {768, 768, 197, turned, plain}},
      {"G12", "attention, 197x64x197", {197, 64, 197}},
      {"G13", "64x64x64", {64, 64, 64}},
      {"G14", "overhead, 8x8x8", {8, 8, 8}},
  };
  Rows rows;
  for (const auto& one : cases) {
    const GemmCase c = one.c;
    const double operations = 2.0 * double(c.m) * double(c.n) * double(c.k),
                 bytes = 4.0 * double(c.m * c.k + c.k * c.n + c.m * c.n);
    // sums of up to 25088 terms in float
    rows.push_back({one.id, one.what, Bound::products, operations, bytes, 2e-5, [c] { return gemm_row(c); }});
    rows.push_back({std::string(one.id).append("@eigen"), std::string(one.what).append(", Eigen's product"),
                    Bound::products, operations, bytes, 2e-5, [c] { return eigen_row(c); }});
  }
  return rows;
}

}  // namespace bench
