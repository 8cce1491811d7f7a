#include "attend/core/tensor.hpp"

#include <gtest/gtest.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "attend/core/layout.hpp"
#include "attend/core/recycler.hpp"
#include "error_of.hpp"

namespace tensor_test {
namespace {
using namespace attend;

TEST(Shape, FM_2_3_size_product_that_wraps_throws) {
  EXPECT_EQ(element_count(Shape<3>{2, 3, 4}), 24);
  EXPECT_EQ(element_count(Shape<0>{}), 1);
  EXPECT_EQ(element_count(Shape<2>{0, Index(1) << 40}), 0);
  const Index big = Index(1) << 32;
  EXPECT_EQ(error_of([&] {
              element_count(Shape<2>{big, big});
            }),
            "[tensor] shape (4294967296, 4294967296) is negative or too large");
  EXPECT_EQ(error_of([&] {
              element_count(Shape<3>{big, big, 0});
            }),
            "[tensor] shape (4294967296, 4294967296, 0) is negative or too large");
  EXPECT_EQ(error_of([&] { element_count(Shape<1>{-1}); }), "[tensor] shape (-1) is negative or too large");
}

TEST(TensorView, reads_and_writes_the_memory_of_a_tensor_or_map) {
  Tensor<float, 3> t(2, 3, 4);
  for (Index i = 0; i < t.size(); ++i) t.data()[i] = float(i);
  const TensorView<const float, 3> read = std::as_const(t);
  EXPECT_EQ(read(1, 2, 3), t(1, 2, 3));
  EXPECT_EQ(read.dim(-1), 4);
  TensorView<float, 3> write = t;
  write(1, 0, 2) = -5;
  EXPECT_EQ(t(1, 0, 2), -5);
  Eigen::TensorMap<Tensor<float, 3>, Eigen::Aligned> map(t.data(), 2, 3, 4);
  const Eigen::TensorMap<const Tensor<float, 3>> constant(t.data(), 2, 3, 4);
  EXPECT_EQ((TensorView<const float, 3>(map).data()), t.data());
  EXPECT_EQ((TensorView<const float, 3>(constant).data()), t.data());
}

// Eigen converts all of these silently; the exact types of the library do not.
TEST(TensorView, FM_2_3_accepts_exactly_its_scalar_rank_and_layout) {
  using View = TensorView<const float, 3>;
  static_assert(std::is_constructible_v<View, const Tensor<float, 3>&>);
  static_assert(!std::is_constructible_v<View, const Tensor<float, 4>&>);
  static_assert(!std::is_constructible_v<View, const Tensor<double, 3>&>);
  static_assert(!std::is_constructible_v<View, const Eigen::Tensor<float, 3>&>);
  static_assert(!std::is_constructible_v<TensorView<float, 3>, const Tensor<float, 3>&>);
  static_assert(std::is_convertible_v<const Eigen::Tensor<float, 4>&, Eigen::Tensor<float, 3>>,
                "the trap that this guards against");
}

#ifdef __linux__
// Indices beyond 2^31 in memory of which only the touched pages exist (onnxruntime #32299 read elsewhere).
TEST(TensorView, FM_2_3_reaches_beyond_2_to_the_31_elements) {
  constexpr Index rows_there = (Index(1) << 31) / 16 + 3, bytes = rows_there * 16;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) GTEST_SKIP() << "no address space for 2 GiB";
  Eigen::TensorMap<Tensor<std::uint8_t, 2>> map(static_cast<std::uint8_t*>(memory), rows_there, 16);
  const TensorView<std::uint8_t, 2> view(map);
  EXPECT_EQ(view.size(), bytes);
  view(rows_there - 1, 15) = 7;
  EXPECT_EQ(static_cast<std::uint8_t*>(memory)[bytes - 1], 7);
  EXPECT_EQ(rows(map, rows_there - 1, 1)(0, 15), 7);
  munmap(memory, bytes);
}
#endif

TEST(Rows, are_a_map_of_the_same_memory) {
  Tensor<float, 2> t(5, 3);
  t.setRandom();
  auto part = rows(t, 1, 3);
  EXPECT_EQ(part.data(), t.data() + 3);
  EXPECT_EQ(part.dimension(0), 3);
  EXPECT_EQ(rows(std::as_const(t), 5, 0).size(), 0);
  EXPECT_EQ(error_of([&] { rows(t, 3, 3); }), "[rows] x has shape (5, 3); 3 rows from row 3 on are not all in it");
  constexpr Index most = std::numeric_limits<Index>::max();
  for (const auto& [first, count] :
       {std::pair(most, most), {Index(1), most}, {Index(-1), Index(2)}, {Index(6), Index(0)}})
    EXPECT_NE(error_of([&, &a = first, &b = count] { rows(t, a, b); }), "no error") << first << " " << count;
}

TEST(Layout, nchw_goes_over_and_back) {
  Tensor<int, 4> x(2, 3, 4, 5);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = int(i);
  const Tensor<int, 4> y = from_nchw(x);
  EXPECT_EQ(shape_of(y), (Shape<4>{2, 4, 5, 3}));
  for (Index b = 0; b < 2; ++b)
    for (Index c = 0; c < 3; ++c)
      for (Index h = 0; h < 4; ++h)
        for (Index w = 0; w < 5; ++w) EXPECT_EQ(y(b, h, w, c), x(b, c, h, w));
  const Tensor<int, 4> back = to_nchw(y);
  EXPECT_TRUE(shape_of(back) == shape_of(x) && std::equal(x.data(), x.data() + x.size(), back.data()));
  Tensor<int, 3> signal(2, 3, 7);
  signal.setZero();
  EXPECT_EQ(shape_of(from_nchw(signal)), (Shape<3>{2, 7, 3}));
  EXPECT_EQ(from_nchw(Tensor<int, 4>(0, 3, 4, 5)).size(), 0);
}

TEST(Recycler, gives_memory_back_to_the_next_of_its_size) {
  Recycler::release();
  EXPECT_EQ(Recycler::held(), 0u);
  const float* first = make_buffer<float>(1000).get();
  const std::size_t held = Recycler::held();
  EXPECT_GE(held, 4000u);
  const auto again = make_buffer<float>(1000);
  EXPECT_EQ(again.get(), first);
  EXPECT_LT(Recycler::held(), held);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(again.get()) % 64, 0u);
}

TEST(Recycler, is_bounded) {
  Recycler::release();
  Recycler::set_limit(0);
  { const auto big = make_buffer<float>(100000); }
  EXPECT_EQ(Recycler::held(), 0u);
  Recycler::set_limit(std::size_t(256) << 20);
}

TEST(Recycler, size_classes_hold_what_was_asked_for) {
  for (Index n = 1; n < 100000; n = n * 9 / 8 + 1) {
    const auto block = make_buffer<char>(n);
    std::fill_n(block.get(), n, 'x');  // an overflow is seen by the address sanitizer
  }
  Recycler::poison();
  Recycler::release();
}
}  // namespace
}  // namespace tensor_test
